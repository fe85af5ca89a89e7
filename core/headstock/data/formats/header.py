"""The first row of a text table: a header that names the columns, or data?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

import numpy as np

from headstock.data.columns import MissingColumnError, Wanted, listed
from headstock.data.tables.arrow_rows import ArrowRows
from headstock.interfaces import DataError

LOOKED_AT = 1000
"""Rows in which a column's name is looked for."""

ADVICE = "if the first row is data and names no columns, set data.header=false"


def find_named(name: str, first: Sequence[str], later: Iterable[Sequence[str]], wanted: Wanted) -> dict[str, str]:
    """Return the data's column for each wanted one, where the first row names the columns.

    Args:
        name: What to call the data in an error.
        first: The first row.
        later: The rows that follow, by which an error tells whether the first one looks like data.
        wanted: The columns that are wanted.

    Raises:
        DataError: a column is missing.
    """
    try:
        return wanted.find(name, first)
    except MissingColumnError as error:
        if _looks_like_data(first, later):
            raise DataError(f"{error}; {ADVICE}") from error
        raise


def find_numbered(name: str, first: Sequence[str], wanted: Wanted) -> dict[str, str]:
    """Return the data's column (``column_1``, ``column_2`` …) for each wanted one, where no row names the columns.

    Raises:
        DataError: a column is not mapped; shows what the first row has in each.
    """
    names = numbered_names(len(first))
    try:
        return wanted.find(name, names)
    except MissingColumnError as error:
        shown = listed([f"{column} '{value}'" for column, value in zip(names, first, strict=True)])
        raise DataError(f"{error}; the first row has: {shown}") from error


def numbered_names(width: int) -> list[str]:
    """Return what the columns are called where no row names them."""
    return [f"column_{number}" for number in range(1, width + 1)]


def header_note(rows: ArrowRows, found: Mapping[str, str], wanted: Wanted) -> tuple[str, ...]:
    """Return a line where a target column's name occurs among its values: the first row may be data.

    Args:
        rows: The table.
        found: The data's column for each of the task's columns.
        wanted: The columns that are wanted.
    """
    indices = np.arange(min(len(rows), LOOKED_AT))
    for column in wanted.columns:
        source = found.get(column.name)
        if column.role != "target" or source is None:
            continue
        if any(isinstance(value, str) and value.strip() == source for value in rows.values(column.name, indices)):
            return (f"{rows.name}: the name of column '{source}' is also one of its values; {ADVICE}",)
    return ()


def no_header_note(name: str, first: Sequence[str], wanted: Wanted) -> tuple[str, ...]:
    """Return a line where the first row is taken for data but names the task's columns."""
    if wanted.count(first) < 2:
        return ()
    return (f"{name}: the first row reads {listed(first)}; if that is a header, leave out data.header=false",)


def _looks_like_data(first: Sequence[str], later: Iterable[Sequence[str]]) -> bool:
    """Tell whether a field of the first row is a number, a sentence, or a value of a later row in the same column."""
    if any(len(field) > 40 or len(field.split()) > 4 or _is_number(field) for field in first):
        return True
    return any(
        field.strip() and field.strip() == value.strip()
        for row in islice(later, LOOKED_AT)
        for field, value in zip(first, row, strict=False)
    )


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
