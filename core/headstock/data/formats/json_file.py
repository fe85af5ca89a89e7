"""JSON: one object a line, or one list of objects. Values keep the types that they are written with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headstock.data.arrow_rows import ArrowRows
from headstock.data.columns import Wanted
from headstock.data.formats.text_file import open_text
from headstock.data.store import stored
from headstock.data.values import FilePath, from_json
from headstock.interfaces import DataError


def read_json(path: Path, wanted: Wanted) -> ArrowRows:
    """Return the rows of a JSON Lines file, or of a JSON file that holds a list of objects.

    A value is stored as the JSON text it is, because Arrow would want one type for the whole column.

    Raises:
        DataError: not UTF-8, a line that is no JSON object, or a column is missing.
    """
    from datasets import Features, Value
    from datasets.arrow_writer import ArrowWriter

    keys: dict[str, None] = {}
    empty = True
    for record in _records(path):
        keys.update(dict.fromkeys(record))
        empty = False
    if empty:
        raise DataError(f"{path} is empty")
    found = wanted.find(str(path), list(keys))

    def fill(writer: ArrowWriter) -> None:
        for record in _records(path):
            writer.write({column: json.dumps(record.get(source)) for column, source in found.items()})

    features = Features({column: Value("string") for column in found})
    dataset = stored(path, ["json", found], features, fill)
    readers = {column: FilePath(path.parent, from_json) if column in wanted.files else from_json for column in found}
    return ArrowRows(str(path), dataset.with_format("arrow"), {column: column for column in found}, readers)


def _records(path: Path) -> Iterator[dict[str, Any]]:
    with open_text(path) as stream:
        line, text = 0, ""
        while not text.strip():
            line, text = line + 1, stream.readline()
            if not text:
                return
        if text.lstrip().startswith("["):
            yield from _listed(path, "\n" * (line - 1) + text + stream.read())
            return
        yield _record(path, line, text)
        for number, later in enumerate(stream, start=line + 1):
            if later.strip():
                yield _record(path, number, later)


def _record(path: Path, line: int, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path} line {line} is not JSON ({error.msg}, column {error.colno}); one object a line is expected"
        ) from error
    if not isinstance(value, dict):
        raise DataError(f"{path} line {line} holds {type(value).__name__}; one JSON object a line is expected")
    return value


def _listed(path: Path, text: str) -> Iterator[dict[str, Any]]:
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path} line {error.lineno} is not JSON ({error.msg}, column {error.colno})") from error
    for number, value in enumerate(values, start=1):
        if not isinstance(value, dict):
            raise DataError(f"{path} item {number} is {type(value).__name__}; a list of JSON objects is expected")
        yield value
