"""Errors that components raise about the data they are given."""

from headstock_registry import HeadstockError


class DataError(HeadstockError):
    """Data that cannot be used as it is: a missing file or column, an unknown label, an empty split."""


class BadExampleError(DataError):
    """One example that cannot be used. The message says what is wrong; the engine adds file and row.

    With ``data.on_bad_example: skip`` such examples are counted and reported instead.
    """
