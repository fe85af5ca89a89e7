"""Data sets that are made up on the spot."""
