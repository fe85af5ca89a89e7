"""Reads texts from the cells of a row."""

from __future__ import annotations

from headstock import BadExampleError, Row


def read_text(row: Row, column: str) -> str:
    """Return the text in a column.

    Raises:
        BadExampleError: there is none, it is empty, or it is something else.
    """
    value = row.get(column)
    if value is None:
        raise BadExampleError(f"no text in column '{column}'")
    if not isinstance(value, str):
        raise BadExampleError(f"column '{column}' holds {type(value).__name__}, not text")
    if not value.strip():
        raise BadExampleError(f"the text in column '{column}' is empty")
    return value
