"""Finds the rows in one JSON value: a list of objects, an object of columns, what pandas writes, or a wrapper of these.

Everything works on values that are parsed already; nothing here reads a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from headstock.interfaces import DataError

DEEPEST = 6
"""Levels of wrappers that are looked into."""

Fits = Callable[[Sequence[str]], bool]
"""Tells whether names are those of the columns that are wanted."""


class Found(NamedTuple):
    """Rows, and in words where they were; rows that are no objects are for the caller to refuse."""

    rows: list[Any]
    layout: str = ""


def find_rows(name: str, value: Any, fits: Fits, lines: bool) -> Found:
    """Return the rows that a JSON value holds.

    Args:
        name: What to call the data in an error.
        value: A list or an object.
        fits: Tells whether names are those of the columns that are wanted.
        lines: Whether the file is called JSON Lines, in which a lone object with lists is one row.

    Raises:
        DataError: the value holds several lists that could be the rows, lists without names, or columns of different
            length.
    """
    if isinstance(value, list):
        if value and all(isinstance(row, list) for row in value):
            raise DataError(
                f"{name} holds lists without names of columns; write objects: in pandas to_json(orient='records')"
            )
        return Found(value)
    return _in_object(name, value, fits, lines) or _in_wrapper(name, value, fits) or Found([value])


def _in_object(name: str, value: Mapping[str, Any], fits: Fits, lines: bool) -> Found | None:
    """Return the rows of an object that holds a whole table."""
    if isinstance(value.get("columns"), list) and isinstance(value.get("data"), list):  # pandas: split
        return Found(
            [_named(name, value["columns"], row) for row in value["data"]], "the lists of 'columns' and 'data'"
        )
    if isinstance(value.get("schema"), dict) and _is_records(value.get("data")):  # pandas: table
        return Found(value["data"], "the list 'data'")
    parts = list(value.values())
    if parts and all(isinstance(part, dict) for part in parts) and len({tuple(part) for part in parts}) == 1:
        return _of_objects(value, list(parts[0]), fits)
    if lines or not fits(list(value)):
        return None
    columns = {key: part for key, part in value.items() if isinstance(part, list)}
    if not columns or not fits(list(columns)):
        return None
    lengths = {key: len(part) for key, part in columns.items()}
    if len(set(lengths.values())) > 1:
        counted = ", ".join(f"{key} ({length})" for key, length in lengths.items())
        raise DataError(f"{name} holds columns of different length: {counted}")
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    return Found(rows, "an object of columns")


def _of_objects(value: Mapping[str, Mapping[str, Any]], inner: list[str], fits: Fits) -> Found | None:
    """Return the rows of an object of objects that have the same keys: pandas' ``columns`` or ``index``."""
    outer = list(value)
    if not inner:
        return None
    by_row = fits(inner) or (not fits(outer) and all(key.isdecimal() for key in outer))
    if by_row and not fits(outer) and (len(outer) > 1 or outer[0].isdecimal()):
        return Found([dict(row) for row in value.values()], "an object of rows")
    if fits(outer) or all(key.isdecimal() for key in inner):
        return Found([{key: part[index] for key, part in value.items()} for index in inner], "an object of columns")
    return None


def _in_wrapper(name: str, value: Mapping[str, Any], fits: Fits) -> Found | None:
    """Return the rows of the one table that lies somewhere in an object which is no row itself."""
    if fits(list(value)):
        return None
    found = dict(_tables(name, value, fits, ""))
    if len(found) > 1:
        raise DataError(
            f"{name} holds more than one list of rows: {', '.join(found)}; write the one that is meant, or each split, "
            "to a file of its own"
        )
    return next(iter(found.values()), None)


def _tables(name: str, value: Mapping[str, Any], fits: Fits, trail: str) -> list[tuple[str, Found]]:
    found: list[tuple[str, Found]] = []
    if trail.count(".") >= DEEPEST:
        return found
    for key, part in value.items():
        place = f"{trail}.{key}" if trail else key
        if _is_records(part):
            found.append((place, Found(part, f"the list '{place}'")))
        elif isinstance(part, dict):
            inside = _in_object(name, part, fits, lines=False)
            found += [(place, inside)] if inside is not None else _tables(name, part, fits, place)
    return found


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _named(name: str, columns: Sequence[Any], row: Any) -> dict[str, Any]:
    if not isinstance(row, list) or len(row) != len(columns):
        raise DataError(f"{name}: a row in 'data' is no list of {len(columns)} values, one for each of 'columns'")
    return dict(zip(map(str, columns), row, strict=True))
