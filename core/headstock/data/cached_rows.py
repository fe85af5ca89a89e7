"""Rows of a text file that a task reads itself, kept in the cache and mapped from there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from headstock.data.arrow_rows import LINE, PROBLEM, TextRows
from headstock.data.store import stored
from headstock.data.table import Table
from headstock.data.values import from_json
from headstock.interfaces import BadExampleError


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
    from datasets import Features, Value
    from datasets.arrow_writer import ArrowWriter

    def fill(writer: ArrowWriter) -> None:
        for line, row in read():
            if isinstance(row, BadExampleError):
                writer.write({**dict.fromkeys(columns), LINE: line, PROBLEM: str(row)})
            else:
                cells = {column: json.dumps(row.get(column)) for column in columns}
                writer.write({**cells, LINE: line, PROBLEM: None})

    types = {**dict.fromkeys(columns, "string"), LINE: "int64", PROBLEM: "string"}
    features = Features({name: Value(kind) for name, kind in types.items()})
    dataset = stored(path, ["own", form, list(columns)], features, fill).with_format("arrow")
    return Table(TextRows(str(path), dataset, {name: name for name in columns}, dict.fromkeys(columns, from_json)))
