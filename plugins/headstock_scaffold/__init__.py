"""The ``new`` command: writes a plugin that is ready to be filled in and published."""
