"""Optimizer steps on a GPU, captured as CUDA graphs and replayed."""
