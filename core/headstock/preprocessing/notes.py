"""What was noted of the rows of a split, by row, so that it can follow the rows through cuts and the cache."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Found = tuple["array[int]", "array[int]"]
"""Rows, and how often the thing was noted of each."""


@dataclass(frozen=True)
class Noted:
    """How often something was noted.

    Attributes:
        count: How often in all.
        examples: Of how many examples.
    """

    count: int
    examples: int


@dataclass(frozen=True)
class RowNotes:
    """What :func:`headstock.note` said, by row. Sixteen bytes a note."""

    _found: dict[str, Found] = field(default_factory=dict)

    def add(self, row: int, found: Mapping[str, int]) -> None:
        """Add what was noted of a row."""
        for what, count in found.items():
            rows, counts = self._found.setdefault(what, (array("q"), array("q")))
            rows.append(row)
            counts.append(count)

    def extend(self, what: str, rows: Iterable[int], counts: Iterable[int]) -> None:
        """Add one kind of note of several rows."""
        found = self._found.setdefault(what, (array("q"), array("q")))
        found[0].extend(rows)
        found[1].extend(counts)

    def items(self) -> Iterator[tuple[str, NDArray[np.int64], NDArray[np.int64]]]:
        """Yield each kind of note with rows and counts, in the order in which kinds were first noted."""
        for what, (rows, counts) in self._found.items():
            yield what, np.asarray(rows, dtype=np.int64), np.asarray(counts, dtype=np.int64)

    def of(self, rows: Sequence[int] | NDArray[np.int64]) -> RowNotes:
        """Return what was noted of these rows."""
        kept = RowNotes()
        for what, noted, counts in self.items():
            inside = np.isin(noted, np.asarray(rows, dtype=np.int64))
            if inside.any():
                kept.extend(what, noted[inside].tolist(), counts[inside].tolist())
        return kept

    def summary(self) -> dict[str, Noted]:
        """Return how often each kind was noted, and of how many examples."""
        return {what: Noted(int(counts.sum()), len(np.unique(rows))) for what, rows, counts in self.items()}
