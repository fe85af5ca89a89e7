"""Data sets that come with the plugin."""
