"""A file as a data column holds it: a path, bytes, or the ``{"path", "bytes"}`` pair that the datasets library uses."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

from headstock.files import ReadError, read_whole
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
    if isinstance(value, Mapping):
        content = value.get("bytes")
        value = content if content is not None else str(value["path"])
    if not isinstance(value, bytes):
        if not os.fspath(value).strip():
            raise BadExampleError("the path of the file is empty")
        path = Path(value)
        try:
            value = read_whole(path)
        except ReadError as error:
            raise BadExampleError(str(error)) from error
        if not value:
            raise BadExampleError(f"{path} is empty")
    if not value:
        raise BadExampleError("the file is empty")
    return value
