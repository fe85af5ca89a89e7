"""Rows of a text file that a task reads itself, kept in the cache and mapped from there."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from headstock.data.cache.store import stored
from headstock.data.tables.arrow_rows import LINE, PROBLEM, TextRows
from headstock.data.tables.arrow_table import ArrowTable, write_rows
from headstock.data.tables.table import Table
from headstock.data.tables.values import from_json
from headstock.interfaces import BadExampleError

Record = tuple[int | None, Mapping[str, str | None] | BadExampleError]
"""A row's cells, or what is wrong with it; and its line in the file, which may be left out where all is well."""


def cached_rows(
    path: Path,
    form: str,
    columns: Sequence[str],
    read: Callable[[], Iterable[tuple[int, Mapping[str, Any] | BadExampleError]]],
) -> Table:
    """Return the rows of a text file, which may be far more than memory holds.

    They are read once, written to the cache under a digest of the file's content, and mapped from there.

    Args:
        path: The file.
        form: What the rows depend on beside the file: the name of its form, and a number to count up whenever the same
            file would be read otherwise.
        columns: The columns that rows have.
        read: Yields the rows, each with the line at which it begins (from 1), its values JSON values; in place of a row
            that cannot be used the error that says why, which is raised when that row is asked for.

    Raises:
        DataError: the file cannot be read, or the cache cannot be written.
    """

    def cells() -> Iterator[Record]:
        for line, row in read():
            if isinstance(row, BadExampleError):
                yield line, row
            else:
                yield line, {column: json.dumps(row.get(column)) for column in columns}

    dataset = stored_text(path, ["own", form, list(columns)], columns, cells)
    return Table(TextRows(str(path), dataset, {name: name for name in columns}, dict.fromkeys(columns, from_json)))


def stored_text(path: Path, how: Any, columns: Collection[str], records: Callable[[], Iterable[Record]]) -> ArrowTable:
    """Return the rows of a text file with the columns that :class:`headstock.data.tables.arrow_rows.TextRows` needs.

    Args:
        path: The file.
        how: JSON value of everything else that the rows depend on.
        columns: The columns that rows have; each value is a text.
        records: Yields the rows.
    """
    import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]

    nothing = dict.fromkeys(columns)

    def rows() -> Iterator[dict[str, Any]]:
        for line, record in records():
            if isinstance(record, BadExampleError):
                yield {**nothing, LINE: line, PROBLEM: str(record)}
            else:
                yield {**record, LINE: line, PROBLEM: None}

    def fill(stream: BinaryIO) -> None:
        types = {**dict.fromkeys(columns, pa.large_string()), LINE: pa.int64(), PROBLEM: pa.large_string()}
        write_rows(stream, pa.schema(types), rows())

    return ArrowTable.mapped(stored(path, how, fill))
