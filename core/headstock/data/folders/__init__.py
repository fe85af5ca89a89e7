"""Folders of data: which files are data, which splits they are."""
