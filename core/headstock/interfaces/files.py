"""A file as a data column holds it: a path, bytes, or the ``{"path", "bytes"}`` pair that the datasets library uses."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

from headstock.files import ReadError, open_regular, read_whole
from headstock.interfaces.errors import BadExampleError

FileValue = str | os.PathLike[str] | bytes | Mapping[str, Any]


def is_file_value(value: object) -> TypeGuard[FileValue]:
    """Tell whether ``value`` names or holds a file (rather than, say, an array that is decoded already)."""
    if isinstance(value, Mapping):
        return set(value) <= {"path", "bytes"} and any(part is not None for part in value.values())
    return isinstance(value, str | os.PathLike | bytes)


def read_bytes(value: FileValue) -> bytes:
    """Return the content of a file column's value.

    Raises:
        BadExampleError: the file is missing, unreadable, empty, or no regular file.
    """
    held = _held(value)
    if isinstance(held, bytes):
        return held
    try:
        content = read_whole(held)
    except ReadError as error:
        raise BadExampleError(str(error)) from error
    if not content:
        raise BadExampleError(f"{held} is empty")
    return content


@contextmanager
def open_file(value: FileValue) -> Iterator[BinaryIO]:
    """Open a file column's value for reading, for what needs only its beginning.

    Raises:
        BadExampleError: as :func:`read_bytes`.
    """
    held = _held(value)
    if isinstance(held, bytes):
        yield io.BytesIO(held)
        return
    try:
        with open_regular(held) as stream:
            if not os.fstat(stream.fileno()).st_size:
                raise BadExampleError(f"{held} is empty")
            yield stream
    except ReadError as error:
        raise BadExampleError(str(error)) from error


def _held(value: FileValue) -> bytes | Path:
    """Return the bytes that a value holds, or the path that it names."""
    if isinstance(value, Mapping):
        content = value.get("bytes")
        value = content if content is not None else str(value["path"])
    if isinstance(value, bytes):
        if not value:
            raise BadExampleError("the file is empty")
        return value
    if not os.fspath(value).strip():
        raise BadExampleError("the path of the file is empty")
    return Path(value)
