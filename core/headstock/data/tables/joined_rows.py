"""The rows of several files, one after the other: the shards of one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstock.data.tables.table import Table
from headstock.interfaces import BadExampleError


@dataclass(frozen=True, eq=False)
class JoinedRows:
    """Rows of several tables that have the same columns.

    Attributes:
        name: What to call the data in a message.
        parts: The tables.
    """

    name: str
    parts: Sequence[Table]

    @property
    def columns(self) -> tuple[str, ...]:
        """The task's columns that rows have."""
        return self.parts[0].columns

    @property
    def beside(self) -> tuple[str, ...]:
        """Other columns of the data that all parts have kept."""
        return tuple(name for name in self.parts[0].beside if all(name in part.beside for part in self.parts))

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out when the rows of all parts were found."""
        return tuple(dict.fromkeys(note for part in self.parts for note in part.notes))

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def row(self, index: int) -> dict[str, Any]:
        """Return one row."""
        part, inside = self._place(index)
        return part[inside]

    def values(self, column: str, indices: NDArray[np.int64]) -> Iterator[Any]:
        """Yield one column's values."""
        for run in self._runs(indices):
            yield from run.values(column)

    def values_beside(self, column: str, indices: NDArray[np.int64]) -> Iterator[Any]:
        """Yield the values of a column that is in no row."""
        for run in self._runs(indices):
            yield from run.values_of(column)

    def read(self, indices: NDArray[np.int64]) -> Iterator[dict[str, Any] | BadExampleError]:
        """Yield rows, fetched many at a time."""
        for run in self._runs(indices):
            yield from run.read()

    def _runs(self, indices: NDArray[np.int64]) -> Iterator[Table]:
        """Yield runs of rows that lie in one part, to be read together."""
        ends = np.cumsum([len(part) for part in self.parts])
        owners = np.searchsorted(ends, indices, side="right")
        start = 0
        while start < len(indices):
            owner = int(owners[start])
            change = np.flatnonzero(owners[start:] != owner)
            stop = start + int(change[0]) if len(change) else len(indices)
            offset = int(ends[owner]) - len(self.parts[owner])
            yield self.parts[owner].select((indices[start:stop] - offset).tolist())
            start = stop

    def where(self, index: int) -> str:
        """Return the row's file and place there."""
        part, inside = self._place(index)
        return part.where(inside)

    def _place(self, index: int) -> tuple[Table, int]:
        for part in self.parts:
            if index < len(part):
                return part, index
            index -= len(part)
        raise IndexError(index)
