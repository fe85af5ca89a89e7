"""Runs the cells of a suite side by side through Ray."""
