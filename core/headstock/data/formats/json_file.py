"""JSON: one object a line, or one value that holds a table. Values keep the types that they are written with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from headstock.data.columns import Wanted
from headstock.data.formats.json_layout import find_rows
from headstock.data.formats.text_file import open_text
from headstock.data.tables.arrow_rows import BESIDE, TextRows
from headstock.data.tables.cached_rows import Record, stored_text
from headstock.data.tables.values import FilePath, from_json
from headstock.files import NotJsonError, ReadError, parse_json
from headstock.interfaces import BadExampleError, DataError

LINE_ENDINGS = (".jsonl", ".ndjson")
LOOKED_AT = 20
"""Lines by which JSON Lines are told from one value that is written over many lines."""

Item = tuple[int | None, dict[str, Any] | BadExampleError]
"""A row and its line, which is left out where the number of the row says as much."""


def read_json(path: Path, wanted: Wanted) -> TextRows:
    """Return the rows of a JSON Lines file, or of a JSON file that holds a table (:mod:`.json_layout`).

    Whatever the file is called, what it holds says which of the two it is. A line that is no JSON object cannot be
    used; the others can. A value is stored as the JSON text it is, because Arrow would want one type for the column.

    Raises:
        DataError: not UTF-8, no JSON, or a column is missing.
    """
    whole = _whole(path, wanted)
    items, layout = (None, "") if whole is None else whole

    def read() -> Iterable[Item]:
        return _lines(path) if items is None else items

    keys: dict[str, None] = {}
    problem: tuple[int | None, BadExampleError] | None = None
    empty = True
    for line, row in read():
        empty = False
        if isinstance(row, BadExampleError):
            problem = problem or (line, row)
        else:
            keys.update(dict.fromkeys(row))
    if empty:
        raise DataError(f"{path} is empty")
    if not keys and problem is not None:
        raise DataError(f"{path}{f' line {problem[0]}' if problem[0] else ''}: {problem[1]}")
    found = wanted.find(str(path), list(keys))
    beside = {BESIDE + column: source for column, source in wanted.find_beside(str(path), list(keys), found).items()}
    stored_columns = {**found, **beside}

    def records() -> Iterator[Record]:
        for line, row in read():
            if isinstance(row, BadExampleError):
                yield line, row
            else:
                yield None, {column: json.dumps(row.get(source)) for column, source in stored_columns.items()}

    dataset = stored_text(path, ["json", stored_columns, layout], stored_columns, records)
    readers = {column: FilePath(path.parent, from_json) if column in wanted.files else from_json for column in found}
    notes = (f"{path}: {len(dataset)} rows were read from {layout}",) if layout else ()
    kept = {column.removeprefix(BESIDE): (column, from_json) for column in beside}
    return TextRows(str(path), dataset, {column: column for column in found}, readers, notes, kept)


def _whole(path: Path, wanted: Wanted) -> tuple[list[Item], str] | None:
    """Return the rows of a file that is one JSON value, and in words where they were; ``None`` for JSON Lines."""
    with open_text(path) as stream:
        head = list(islice((line for line in stream if line.strip()), LOOKED_AT))
    if not head or (len(head) > 1 and _is_complete(head[0])) or any(map(_is_object, head[1:])):
        return None
    with open_text(path) as stream:
        text = stream.read()
    try:
        value = parse_json(text, str(path), finite=False)
    except NotJsonError as error:
        raise DataError(f"{error}; one object a line, or one list of objects, is expected") from error
    except ReadError as error:
        raise DataError(str(error)) from error
    if not isinstance(value, list | dict):
        raise DataError(f"{path} holds {type(value).__name__}; one object a line, or one list of objects, is expected")
    found = find_rows(str(path), value, wanted.fits, lines=path.suffix.casefold() in LINE_ENDINGS)
    return [(None, _row(value)) for value in found.rows], found.layout


def _lines(path: Path) -> Iterator[Item]:
    with open_text(path) as stream:
        for line, text in enumerate(stream, start=1):
            if text.strip():
                yield line, _parsed(text)


def _parsed(text: str) -> dict[str, Any] | BadExampleError:
    try:
        return _row(parse_json(text, "", line=0, finite=False))
    except NotJsonError as error:
        return BadExampleError(f"{error}; one object a line is expected")
    except ReadError as error:
        return BadExampleError(str(error))


def _row(value: Any) -> dict[str, Any] | BadExampleError:
    if isinstance(value, dict):
        return value
    return BadExampleError(f"it holds {type(value).__name__} where a JSON object is expected")


def _is_complete(text: str) -> bool:
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return False
    except (ValueError, RecursionError):
        return True
    return True


def _is_object(text: str) -> bool:
    """Tell whether a line is an object of its own, and not the inside of one that is written over many lines."""
    return text.startswith("{") and _is_complete(text)
