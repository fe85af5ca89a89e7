"""Faster implementations of torch's operations, active while training."""
