"""Data sets that are made by code, so that every task runs offline."""
