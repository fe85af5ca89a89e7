"""Rows of data, wherever they lie, read when they are asked for."""
