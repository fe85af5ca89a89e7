"""Rows that lie in an Arrow table of the datasets library, mapped from disk and not held in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headstock.data.values import Reader
from headstock.interfaces import BadExampleError

if TYPE_CHECKING:
    from datasets import Dataset

CHUNK = 1000
"""Rows that are fetched together when one column is read."""

LINE = " line"
PROBLEM = " problem"
"""Columns of a text file's stored rows, with names that no column of a task has."""


@dataclass(frozen=True, eq=False)
class ArrowRows:
    """Rows of a datasets.Dataset.

    Attributes:
        name: What to call the data in a message.
        dataset: The rows, formatted as ``arrow``: values come as they are stored, nothing is decoded on the way.
        sources: For each of the task's columns the column of ``dataset``.
        readers: For each of the task's columns how a stored value is read.
        notes: A line for each thing that was left out when the rows were found.
    """

    name: str
    dataset: Dataset
    sources: Mapping[str, str]
    readers: Mapping[str, Reader]
    notes: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The task's columns that rows have."""
        return tuple(self.sources)

    def __len__(self) -> int:
        return len(self.dataset)

    def row(self, index: int) -> dict[str, Any]:
        """Return one row."""
        return self._read(self.dataset[index].to_pylist()[0])

    def values(self, column: str, indices: NDArray[np.int64]) -> Iterator[Any]:
        """Yield one column's values."""
        only = self.dataset.select_columns([self.sources[column]])
        for start in range(0, len(indices), CHUNK):
            yield from map(self.readers[column], only[indices[start : start + CHUNK].tolist()].column(0).to_pylist())

    def where(self, index: int) -> str:
        """Return the row's number."""
        return f"{self.name} row {index + 1}"

    def _read(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        return {column: self.readers[column](stored[source]) for column, source in self.sources.items()}


@dataclass(frozen=True, eq=False)
class TextRows(ArrowRows):
    """Rows of a text file.

    ``dataset`` has a column for the line at which a row begins, and one that says what is wrong with a row that could
    not be read; it is null for the others. Asking for a row that could not be read raises that.
    """

    def row(self, index: int) -> dict[str, Any]:
        """Return one row.

        Raises:
            BadExampleError: it could not be read.
        """
        stored = self.dataset[index].to_pylist()[0]
        if stored[PROBLEM] is not None:
            raise BadExampleError(stored[PROBLEM])
        return self._read(stored)

    def where(self, index: int) -> str:
        """Return the line at which the row begins, or its number where no line was kept."""
        line = self.dataset[index].column(LINE)[0].as_py()
        return super().where(index) if line is None else f"{self.name} line {line}"


@dataclass(frozen=True, eq=False)
class FileRows(ArrowRows):
    """Rows that are a file each; ``dataset`` has a column ``path``."""

    def where(self, index: int) -> str:
        """Return the file's path."""
        return str(self.dataset[index].column("path")[0].as_py())
