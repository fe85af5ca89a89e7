"""A table: rows of data, wherever they come from, read when asked for."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from headstock.interfaces import BadExampleError


class Rows(Protocol):
    """What a :class:`Table` looks at: all rows of one file, folder or data set, in their order.

    Attributes:
        name: What to call the data in a message: a path as the user wrote it, a Hub id, ``sample train``.
        columns: The task's columns that rows have.
        beside: Other columns of the data, by its own names, that were kept for a cut and are in no row.
        notes: A line for each thing that was left out when the rows were found, for people.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def columns(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def beside(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def notes(self) -> tuple[str, ...]: ...  # noqa: D102
    def __len__(self) -> int: ...
    def row(self, index: int) -> dict[str, Any]:
        """Return one row, by the task's column names."""

    def values(self, column: str, indices: NDArray[np.int64]) -> Iterator[Any]:
        """Yield one column's values without reading the others."""

    def values_beside(self, column: str, indices: NDArray[np.int64]) -> Iterator[Any]:
        """Yield the values of one of the columns ``beside``."""

    def read(self, indices: NDArray[np.int64]) -> Iterator[dict[str, Any] | BadExampleError]:
        """Yield rows in this order, fetched many at a time; the error that says why in place of one that has none."""

    def where(self, index: int) -> str:
        """Return file and row, for a message."""


@dataclass(frozen=True, eq=False)
class Table(Sequence[dict[str, Any]]):
    """An immutable sequence of rows, each a dict by the task's column names.

    Rows are read when asked for, so that a table may be far larger than memory. It can be sent to another process.

    Attributes:
        rows: What is looked at.
        indices: Which of ``rows``, in which order, int64 (N,); ``None``: all of them.
    """

    rows: Rows
    indices: NDArray[np.int64] | None = None

    @property
    def name(self) -> str:
        """What to call the data in a message."""
        return self.rows.name

    @property
    def columns(self) -> tuple[str, ...]:
        """The task's columns that rows have."""
        return self.rows.columns

    @property
    def beside(self) -> tuple[str, ...]:
        """Other columns of the data, by its own names, that were kept for a cut and are in no row."""
        return self.rows.beside

    @property
    def notes(self) -> tuple[str, ...]:
        """A line for each thing that was left out when the rows were found, for people."""
        return self.rows.notes

    def __len__(self) -> int:
        return len(self.rows) if self.indices is None else len(self.indices)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Table: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | Table:
        if isinstance(index, slice):
            return self.select(range(*index.indices(len(self))))
        return self.rows.row(self._number(index))

    def values(self, column: str) -> Iterator[Any]:
        """Yield one column's values without reading the others."""
        if column not in self.columns:
            raise KeyError(column)
        return self.rows.values(column, self._indices())

    def has(self, column: str) -> bool:
        """Tell whether there is a column of this name among those :attr:`beside` or the task's."""
        return column in self.beside or column in self.columns

    def values_of(self, column: str) -> Iterator[Any]:
        """Yield the values of a column of the data, under its own name, or else of the task's column of this name."""
        return self.rows.values_beside(column, self._indices()) if column in self.beside else self.values(column)

    def read(self) -> Iterator[dict[str, Any] | BadExampleError]:
        """Yield all rows, fetched many at a time; in place of a row that cannot be read the error that says why."""
        return self.rows.read(self._indices())

    def where(self, index: int) -> str:
        """Return where a row is, for a message: ``reviews.csv row 7``, ``train.txt line 12``, an image's path.

        Rows are counted from 1 and as they stand in the file, whatever was selected; a header is not counted.
        """
        return self.rows.where(self._number(index))

    def select(self, indices: Iterable[int]) -> Table:
        """Return the table of these rows, in this order."""
        chosen = np.fromiter(indices, dtype=np.int64)
        outside = (chosen < -len(self)) | (chosen >= len(self))
        if outside.any():
            raise IndexError(f"row {chosen[outside][0]} of {len(self)}")
        chosen[chosen < 0] += len(self)
        if self.indices is not None:
            chosen = self.indices[chosen]
        chosen.flags.writeable = False
        return Table(self.rows, chosen)

    def _indices(self) -> NDArray[np.int64]:
        return np.arange(len(self.rows)) if self.indices is None else self.indices

    def _number(self, index: int) -> int:
        position = operator.index(index)
        if not -len(self) <= position < len(self):
            raise IndexError(f"row {position} of {len(self)}")
        position %= len(self)
        return position if self.indices is None else int(self.indices[position])


@dataclass(frozen=True, eq=False)
class MemoryRows:
    """Rows that are in memory already: a task's sample, or what a task has read itself.

    Attributes:
        name: What to call the data in a message.
        content: The rows; if they have a method ``where``, it names their places.
        columns: The task's columns that rows have.
        notes: A line for each thing that was left out when the rows were found.
        known: The columns that rows keep; ``None``: all.
    """

    name: str
    content: Sequence[Mapping[str, Any]]
    columns: tuple[str, ...]
    notes: tuple[str, ...] = ()
    known: frozenset[str] | None = None

    def __len__(self) -> int:
        return len(self.content)

    def row(self, index: int) -> dict[str, Any]:
        """Return one row."""
        content = self.content[index]
        return {name: content[name] for name in content if self.known is None or name in self.known}

    def values(self, column: str, indices: NDArray[np.int64]) -> Iterator[Any]:
        """Yield one column's values."""
        return (self.content[index].get(column) for index in indices.tolist())

    @property
    def beside(self) -> tuple[str, ...]:
        """All that the first row has."""
        try:
            return tuple(self.content[0]) if len(self.content) else ()
        except BadExampleError:
            return self.columns

    def values_beside(self, column: str, indices: NDArray[np.int64]) -> Iterator[Any]:
        """Yield one column's values."""
        return self.values(column, indices)

    def read(self, indices: NDArray[np.int64]) -> Iterator[dict[str, Any] | BadExampleError]:
        """Yield rows."""
        for index in indices.tolist():
            try:
                yield self.row(index)
            except BadExampleError as error:
                yield error

    def where(self, index: int) -> str:
        """Return the row's place, or its number."""
        own = getattr(self.content, "where", None)
        return f"{self.name} row {index + 1}" if own is None else str(own(index))
