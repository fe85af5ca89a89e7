"""Rows that a task has read into memory, each with the place where it was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload


@dataclass(frozen=True, eq=False)
class PlacedRows(Sequence[Mapping[str, Any]]):
    """Rows with their places, for :meth:`headstock.Task.read`.

    Attributes:
        rows: The rows.
        places: For each row what to call it in a message: its file, or file and line.
        notes: Lines that say what was left out or guessed in reading; shown to the user.
    """

    rows: Sequence[Mapping[str, Any]]
    places: Sequence[str]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.rows) != len(self.places):
            raise ValueError(f"{len(self.rows)} rows but {len(self.places)} places")

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> PlacedRows: ...
    def __getitem__(self, index: int | slice) -> Mapping[str, Any] | PlacedRows:
        if isinstance(index, slice):
            return PlacedRows(self.rows[index], self.places[index], self.notes)
        return self.rows[index]

    def where(self, index: int) -> str:
        """Return a row's place."""
        return self.places[index]
