"""Tables of pyarrow that are read like data sets of the datasets library, which takes seconds to import.

Arrays are made of buffers, for ``pyarrow.array`` imports pandas.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from headstock.data.tables.chunks import chunks

BATCH_ROWS = 1000
"""Rows that are written together, at most."""
BATCH_CHARACTERS = 2**22
"""Characters that are written together, about."""
FEW = 5000
"""Rows of a table that are picked one by one, at most: what picks them together takes longer to import."""


class ArrowTable:
    """Rows of a ``pyarrow.Table``, fetched from its batches: they are never put together to one.

    Attributes:
        data: The table.
        path: The file that it is mapped from; ``None``: it is in memory.
    """

    def __init__(self, data: Any, path: Path | None = None) -> None:
        self.data = data
        self.path = path
        self._batches = data.to_batches()
        self._ends: NDArray[np.int64] = np.cumsum([batch.num_rows for batch in self._batches], dtype=np.int64)

    @classmethod
    def mapped(cls, path: Path) -> Self:
        """Return the table that :func:`write_rows` wrote, mapped from disk."""
        import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]

        with pa.ipc.open_stream(pa.memory_map(str(path))) as stream:
            return cls(stream.read_all(), path)

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process maps the same file."""
        return (ArrowTable, (self.data,)) if self.path is None else (ArrowTable.mapped, (self.path,))

    def __len__(self) -> int:
        return int(self.data.num_rows)

    def __getitem__(self, indices: int | Sequence[int]) -> Any:
        """Return one row or these rows as a ``pyarrow.Table``."""
        import pyarrow as pa

        wanted = np.atleast_1d(np.asarray(indices, dtype=np.int64))
        if not len(wanted):
            return self.data.slice(0, 0)
        batches = np.searchsorted(self._ends, wanted, side="right")
        cuts = np.flatnonzero(np.diff(batches)) + 1
        pairs = zip(np.split(batches, cuts), np.split(wanted, cuts), strict=True)
        parts = (self._parts(int(batch[0]), part) for batch, part in pairs)
        return pa.Table.from_batches(list(chain.from_iterable(parts)), self.data.schema)

    def _parts(self, number: int, indices: NDArray[np.int64]) -> list[Any]:
        """Return rows of one batch, in one or more batches."""
        import pyarrow as pa

        batch = self._batches[number]
        inside = indices - (self._ends[number] - batch.num_rows)
        if (np.diff(inside) == 1).all():
            return [batch.slice(int(inside[0]), len(inside))]
        if len(self) <= FEW:
            return [batch.slice(index, 1) for index in inside.tolist()]
        return [batch.take(pa.Array.from_buffers(pa.int64(), len(inside), [None, pa.py_buffer(inside)]))]

    def select_columns(self, names: Sequence[str]) -> ArrowTable:
        """Return the table with these columns alone."""
        return ArrowTable(self.data.select(list(names)))


def write_rows(stream: BinaryIO, schema: Any, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as an Arrow stream of type ``schema``, a ``pyarrow.Schema``; few are in memory at a time."""
    import pyarrow as pa

    with pa.ipc.new_stream(stream, schema) as writer:
        for batch in chunks(rows, BATCH_ROWS, BATCH_CHARACTERS):
            columns = [_array([row[field.name] for row in batch], field.type) for field in schema]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def texts(values: Sequence[str]) -> Any:
    """Return a ``pyarrow.LargeStringArray``."""
    import pyarrow as pa

    return _array(values, pa.large_string())


def _array(values: Sequence[Any], kind: Any) -> Any:
    """Return a ``pyarrow.Array`` of ``large_string`` or of integers of 64 bits; ``None`` is null."""
    import pyarrow as pa

    known = pa.py_buffer(np.packbits([value is not None for value in values], bitorder="little"))
    if pa.types.is_int64(kind):
        numbers = np.asarray([value or 0 for value in values], dtype=np.int64)
        return pa.Array.from_buffers(kind, len(values), [known, pa.py_buffer(numbers)])
    if not pa.types.is_large_string(kind):
        raise TypeError(f"cannot write a column of {kind}")
    encoded = [b"" if value is None else value.encode() for value in values]
    offsets = np.zeros(len(values) + 1, dtype=np.int64)  # offsets of 32 bits end at 2 GiB of text
    np.cumsum([len(each) for each in encoded], out=offsets[1:])
    return pa.Array.from_buffers(kind, len(values), [known, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))])
