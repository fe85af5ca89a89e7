"""Puts rows in the order of a column's values: numbers, or dates and times as ISO 8601 writes them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from headstock.data.columns import missing_beside
from headstock.data.splitting.cutting import Indices
from headstock.data.tables.table import Table
from headstock.error_text import clipped
from headstock.interfaces import BadExampleError, DataError, note

MONTH = re.compile(r"\d{4}-\d{2}")
EPOCH = datetime(1970, 1, 1)
LONGEST = 40
"""Characters that an error shows of a value."""

Place = float | int


def in_order(table: Table, column: str, skip: bool) -> tuple[Table, Indices]:
    """Return the rows in the order of a column's values, equal ones as they stand; and their runs of equal values.

    Args:
        table: The rows.
        column: The data's column that ``data.order`` names.
        skip: Whether to leave out and count rows whose value has no place in the order.

    Returns:
        The table, and for each of its rows the number of its run, int64 (N,), ascending from 0.

    Raises:
        MissingColumnError: the data has no such column.
        BadExampleError: a value has no place in the order and ``skip`` is false; names file and row.
    """
    if not table.has(column):
        raise missing_beside(table.name, column, "data.order", table.beside or table.columns)
    places: list[Place] = []
    rows: list[int] = []
    place_of: Callable[[Any], Place] | None = None
    left_out = 0
    for row, value in enumerate(table.values_of(column)):
        try:
            place_of = place_of or _kind(value)
            places.append(place_of(value))
            rows.append(row)
        except ValueError as error:
            left_out += 1
            if not skip:
                raise BadExampleError(_why(table, row, column, value, str(error))) from error
    note(f"rows left out, for their '{column}' has no place in an order", left_out)
    if not rows:
        raise DataError(f"{table.name} has no row whose '{column}' has a place in an order (data.order)")
    order = np.argsort(np.asarray(places), kind="stable")
    values = np.asarray(places)[order]
    runs = np.concatenate([[0], np.cumsum(values[1:] != values[:-1])]).astype(np.int64)
    return table.select(np.asarray(rows, dtype=np.int64)[order]), runs


def places_of(values: Iterable[Any]) -> Iterator[Place | None]:
    """Yield the place of each value in their order; ``None`` for one that has none."""
    place_of: Callable[[Any], Place] | None = None
    for value in values:
        try:
            place_of = place_of or _kind(value)
            yield place_of(value)
        except ValueError:
            yield None


def _kind(value: Any) -> Callable[[Any], Place]:
    """Return what gives values like this one their place; the first value says whether they are numbers or dates."""
    for place_of in (_number, _naive_time, _aware_time):
        try:
            place_of(value)
        except ValueError:
            continue
        return place_of
    raise ValueError("is neither a number nor an ISO date such as 2026-03-01")


def _number(value: Any) -> Place:
    if isinstance(value, bool):
        raise ValueError("is no number, as the first is")
    try:
        number: Place = value if isinstance(value, int | float) else int(value) if _is_whole(value) else float(value)
    except (TypeError, ValueError) as error:
        raise ValueError("is no number, as the first is") from error
    if not math.isfinite(number):
        raise ValueError("is no finite number")
    return number


def _is_whole(value: Any) -> bool:
    return isinstance(value, str) and value.strip().lstrip("+-").isdecimal()


def _naive_time(value: Any) -> Place:
    found = _time(value)
    if found.tzinfo is not None:
        raise ValueError("has a time zone, and the first has none")
    return (found - EPOCH) // timedelta(microseconds=1)


def _aware_time(value: Any) -> Place:
    found = _time(value)
    if found.tzinfo is None:
        raise ValueError("has no time zone, and the first has one")
    return (found.astimezone(UTC).replace(tzinfo=None) - EPOCH) // timedelta(microseconds=1)


def _time(value: Any) -> datetime:
    if isinstance(value, str):
        text = value.strip()
        try:
            return datetime.fromisoformat(f"{text}-01" if MONTH.fullmatch(text) else text)
        except ValueError as error:
            raise ValueError("is no ISO date such as 2026-03-01, as the first is") from error
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    raise ValueError("is no ISO date such as 2026-03-01, as the first is")


def _why(table: Table, row: int, column: str, value: Any, problem: str) -> str:
    """Return the line on a row without a place; one that cannot be read at all says why."""
    advice = "data.on_bad_example=skip leaves such rows out"
    try:
        table[row]
    except BadExampleError as error:
        return f"{table.where(row)}: {error} ({advice})"
    if value is None or (isinstance(value, str) and not value.strip()):
        return f"{table.where(row)}: '{column}' is empty, which data.order names ({advice})"
    return f"{table.where(row)}: '{column}' (data.order): '{clipped(str(value), LONGEST)}' {problem} ({advice})"
