"""Digests of the content of rows, part of the keys of the example cache."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from headstock.digests import new_digest
from headstock.interfaces import BadExampleError, Column, read_bytes


class RowDigests:
    """Digests rows: what their input columns hold, and what the backbone is given.

    Args:
        columns: The task's columns.
    """

    def __init__(self, columns: Iterable[Column]) -> None:
        self._files = {column.name: column.content == "file" for column in columns if column.role == "input"}
        self._keys: dict[str, bytes] = {}

    def __call__(self, row: Mapping[str, Any], inputs: Mapping[str, Any]) -> tuple[bytes, bytes]:
        """Return two digests.

        Args:
            row: The row.
            inputs: What :meth:`headstock.Task.inputs` made of it.

        Returns:
            One of the input columns alone, by which duplicates are found, where files count by content; and one of
            these and of ``inputs``, where they count by name too, for messages have it.

        Raises:
            BadExampleError: as :func:`content_digest`.
        """
        hasher = new_digest()
        for name, files in self._files.items():
            _feed(hasher, row.get(name), files)
        content = hasher.digest()
        for key in sorted(inputs):
            value = inputs[key]
            if key not in self._keys:
                self._keys[key] = f"key {key!r}\0".encode()
            hasher.update(self._keys[key])
            if value is row.get(key) and self._files.get(key) is False:
                hasher.update(b"column\0")
            else:
                _feed(hasher, value, False)
        return content, hasher.digest()


def content_digest(value: Any, files: bool) -> bytes:
    """Return a digest of one value of a row.

    Args:
        value: Text, number, list, mapping, array, image object, or a file value.
        files: Whether texts are paths, whose content counts instead of their name.

    Raises:
        BadExampleError: a file cannot be read, or the value is of a type that cannot be told from others.
    """
    hasher = new_digest()
    _feed(hasher, value, files)
    return hasher.digest()


def _feed(hasher: Any, value: Any, files: bool) -> None:
    if files and (isinstance(value, str | Path) or (isinstance(value, Mapping) and set(value) == {"path", "bytes"})):
        hasher.update(b"file" + new_digest(read_bytes(value)).digest())
    elif isinstance(value, str):
        encoded = value.encode("utf-8", "surrogatepass")
        hasher.update(b"text %d\0%b" % (len(encoded), encoded))
    elif value is None:
        hasher.update(b"null\0")
    elif isinstance(value, int | float | bool):
        hasher.update(json.dumps(value).encode() + b"\0")
    elif isinstance(value, bytes):
        hasher.update(b"bytes" + new_digest(value).digest())
    elif isinstance(value, Mapping):
        hasher.update(f"map {len(value)}\0".encode())
        for key in sorted(value):
            hasher.update(f"key {key!r}\0".encode())
            _feed(hasher, value[key], files)
    elif isinstance(value, list | tuple):
        hasher.update(f"list {len(value)}\0".encode())
        for part in value:
            _feed(hasher, part, files)
    elif hasattr(value, "__array_interface__") or hasattr(value, "__array__"):
        array = np.ascontiguousarray(np.asarray(value))
        hasher.update(f"array {array.dtype} {array.shape}\0".encode())
        hasher.update(array.tobytes())
        if hasattr(value, "mode") and hasattr(value, "getpalette"):
            # The array of an image object may hold numbers of colours, which say nothing without the palette.
            hasher.update(f"image {value.mode} {value.getpalette()}\0".encode())
    else:
        raise BadExampleError(
            f"cannot tell the content of a {type(value).__name__}; use text, numbers, arrays or files"
        )
