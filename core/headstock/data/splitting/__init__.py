"""Cuts splits out of training data."""
