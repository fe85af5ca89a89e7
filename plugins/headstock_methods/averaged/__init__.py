"""Averages of the weights, which are validated and kept in place of the last ones."""
