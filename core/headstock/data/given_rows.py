"""Rows that a caller gives one by one: values of the main column, or mappings of several columns."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headstock.data.columns import listed
from headstock.data.tables.table import MemoryRows
from headstock.interfaces import BadExampleError, Column


@dataclass(frozen=True, eq=False)
class GivenRows(MemoryRows):
    """Rows with places of their own; some may be unreadable.

    Attributes:
        places: For each row what to call it in a message; by default its number.
        problems: Why a row cannot be used, by index.
    """

    places: Sequence[str] = ()
    problems: Mapping[int, str] = field(default_factory=dict)

    def row(self, index: int) -> dict[str, Any]:
        """Return one row.

        Raises:
            BadExampleError: it could not be read.
        """
        if index in self.problems:
            raise BadExampleError(self.problems[index])
        return super().row(index)

    def where(self, index: int) -> str:
        """Return the input's place."""
        return self.places[index] if self.places else super().where(index)


def given_row(value: Any, columns: Sequence[Column], mapping: Mapping[str, str]) -> dict[str, Any]:
    """Return the row that an input is, by the task's column names.

    A mapping is a row, unless it has none of the task's columns and the main one holds files: then it is a file's
    content. Anything else is a value of the main column. Keys that are no columns are left out, as they are of a file.

    Args:
        value: The input.
        columns: The task's columns, the main input first.
        mapping: The data's column for a column of the task, where names differ.

    Raises:
        BadExampleError: there is one value where several inputs are required, or a mapping has none of the columns,
            lacks a required input or misspells an optional one.
    """
    main = columns[0]
    needed = [column.name for column in columns if column.role == "input" and column.required]
    if not isinstance(value, Mapping):
        if len(needed) > 1:
            raise BadExampleError(f"it is one value, and the task reads the columns {listed(needed)}; give all of them")
        return {main.name: value}
    row: dict[str, Any] = {}
    taken: set[str] = set()
    for column in columns:
        for name in (column.name, mapping.get(column.name)):
            if name is not None and name in value:
                row[column.name] = value[name]
                taken.add(name)
    if not row and main.content == "file":
        return {main.name: value}
    known = [column.name for column in columns if column.role == "input"]
    unknown = [str(key) for key in value if key not in taken]
    if not row:
        has = listed(unknown) or "nothing"
        raise BadExampleError(f"it has none of the columns that the task reads ({listed(known)}); it has: {has}")
    for column in columns:
        if column.name in row or column.role == "target":
            continue
        close = difflib.get_close_matches(column.name, unknown, n=1, cutoff=0.6 if column.required else 0.8)
        if column.required:
            meant = f"; is '{close[0]}' meant for it?" if close else ""
            raise BadExampleError(f"it has no column '{column.name}'; it has: {listed(list(map(str, value)))}{meant}")
        if close:
            raise BadExampleError(f"unknown column '{close[0]}'; did you mean {column.name}?")
    return row
