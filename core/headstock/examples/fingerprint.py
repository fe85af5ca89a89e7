"""Digests of data and code, the keys of the example cache."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from headstock.interfaces import read_bytes
from headstock_registry import HeadstockError


def content_digest(value: Any, files: bool) -> bytes:
    """Return a digest of one value of a row.

    Args:
        value: Text, number, list, mapping, array, image object, or a file value.
        files: Whether texts are paths, whose content counts instead of their name.

    Raises:
        BadExampleError: a file cannot be read.
    """
    hasher = hashlib.blake2b(digest_size=16)
    _feed(hasher, value, files)
    return hasher.digest()


def _feed(hasher: Any, value: Any, files: bool) -> None:
    if files and (isinstance(value, str | Path) or (isinstance(value, Mapping) and set(value) == {"path", "bytes"})):
        hasher.update(b"file" + hashlib.blake2b(read_bytes(value)).digest())
    elif value is None or isinstance(value, str | int | float | bool):
        hasher.update(json.dumps(value).encode() + b"\0")
    elif isinstance(value, bytes):
        hasher.update(b"bytes" + hashlib.blake2b(value).digest())
    elif isinstance(value, Mapping):
        for key in sorted(value):
            hasher.update(f"key {key}\0".encode())
            _feed(hasher, value[key], files)
    elif isinstance(value, list | tuple):
        hasher.update(f"list {len(value)}\0".encode())
        for part in value:
            _feed(hasher, part, files)
    elif hasattr(value, "__array_interface__") or hasattr(value, "__array__"):
        array = np.ascontiguousarray(np.asarray(value))
        hasher.update(f"array {array.dtype} {array.shape}\0".encode())
        hasher.update(array.tobytes())
    else:
        raise HeadstockError(f"cannot tell the content of a {type(value).__name__}; use text, numbers, arrays or files")


@cache
def code_digest(cls: type) -> str:
    """Return a digest of the source files of a class and its bases, so that changed code never reads a stale cache."""
    hasher = hashlib.blake2b(digest_size=16)
    for base in cls.__mro__:
        if base.__module__.split(".")[0] in ("builtins", "abc", "torch"):
            continue
        hasher.update(base.__qualname__.encode())
        hasher.update(Path(inspect.getfile(base)).read_bytes())
    return hasher.hexdigest()
