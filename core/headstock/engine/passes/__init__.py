"""Passes over data without gradients: evaluation, prediction, and the features of a frozen backbone."""
