"""Rows that lie in an Arrow table, mapped from disk and not held in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headstock.data.tables.arrow_table import ArrowTable
from headstock.data.tables.values import Reader, plain
from headstock.interfaces import BadExampleError

if TYPE_CHECKING:
    from datasets import Dataset

CHUNK = 1000
"""Rows that are fetched together, at most."""
CHUNK_BYTES = 16 * 2**20
"""Bytes that are fetched together, about, where rows are large."""

LINE = " line"
PROBLEM = " problem"
"""Columns of a text file's stored rows, with names that no column of a task has."""
BESIDE = " beside "
"""How the stored columns begin that are in no row."""


@dataclass(frozen=True, eq=False)
class ArrowRows:
    """Rows of an Arrow table.

    Attributes:
        name: What to call the data in a message.
        dataset: The rows. A data set of the datasets library is formatted as ``arrow``: values come as they are stored,
            nothing is decoded on the way.
        sources: For each of the task's columns the column of ``dataset``.
        readers: For each of the task's columns how a stored value is read.
        notes: A line for each thing that was left out when the rows were found.
        kept: For each column of the data that is kept beside the task's the column of ``dataset``, and how a stored
            value is read.
    """

    name: str
    dataset: Dataset | ArrowTable
    sources: Mapping[str, str]
    readers: Mapping[str, Reader]
    notes: tuple[str, ...] = ()
    kept: Mapping[str, tuple[str, Reader]] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """The task's columns that rows have."""
        return tuple(self.sources)

    @property
    def beside(self) -> tuple[str, ...]:
        """Other columns of the data, by its own names, that were kept for a cut."""
        return tuple(self.kept)

    def __len__(self) -> int:
        return len(self.dataset)

    def row(self, index: int) -> dict[str, Any]:
        """Return one row."""
        return self._read(self.dataset[index].to_pylist()[0])

    def values(self, column: str, indices: NDArray[np.int64]) -> Iterator[Any]:
        """Yield one column's values."""
        return self._column(self.sources[column], self.readers[column], indices)

    def values_beside(self, column: str, indices: NDArray[np.int64]) -> Iterator[Any]:
        """Yield the values of a column that is in no row."""
        return self._column(*self.kept[column], indices)

    def _column(self, stored: str, reader: Reader, indices: NDArray[np.int64]) -> Iterator[Any]:
        only = self.dataset.select_columns([stored])
        size = self._chunk()
        for start in range(0, len(indices), size):
            yield from map(reader, only[indices[start : start + size].tolist()].column(0).to_pylist())

    def read(self, indices: NDArray[np.int64]) -> Iterator[dict[str, Any] | BadExampleError]:
        """Yield rows, fetched by column."""
        size = self._chunk()
        for start in range(0, len(indices), size):
            stored = self.dataset[indices[start : start + size].tolist()]
            if self._stands_as_it_is(stored):
                columns = [stored.column(source).to_pylist() for source in self.sources.values()]
                yield from (dict(zip(self.sources, values, strict=True)) for values in zip(*columns, strict=True))
            else:
                yield from map(self._read_or_error, stored.to_pylist())

    def where(self, index: int) -> str:
        """Return the row's number."""
        return f"{self.name} row {index + 1}"

    def _chunk(self) -> int:
        """Return how many rows to fetch together: many, unless they are large."""
        average = int(self.dataset.data.nbytes) // max(len(self.dataset), 1)
        return max(min(CHUNK, CHUNK_BYTES // max(average, 1)), 1)

    def _stands_as_it_is(self, stored: Any) -> bool:
        """Return whether all stored values are those that rows show, as they are of most text files."""
        import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]

        return bool(self.sources) and all(
            self.readers[column] is plain and not pa.types.is_floating(stored.schema.field(source).type)
            for column, source in self.sources.items()
        )

    def _read_or_error(self, stored: Mapping[str, Any]) -> dict[str, Any] | BadExampleError:
        try:
            return self._read(stored)
        except BadExampleError as error:
            return error

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
        return self._read(self.dataset[index].to_pylist()[0])

    def _stands_as_it_is(self, stored: Any) -> bool:
        return stored.column(PROBLEM).null_count == len(stored) and super()._stands_as_it_is(stored)

    def _read(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        if stored[PROBLEM] is not None:
            raise BadExampleError(stored[PROBLEM])
        return super()._read(stored)

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
