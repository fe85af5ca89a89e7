"""Digests of data and code, the keys of the example cache."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from headstock.digests import new_digest
from headstock.interfaces import BadExampleError, read_bytes
from headstock_registry import HeadstockError


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
    elif value is None or isinstance(value, str | int | float | bool):
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


@cache
def code_digest(cls: type) -> str:
    """Return a digest of the code behind a class, so that changed code never reads a stale cache.

    It covers all source files of the packages that the class and its bases are in, and the installed versions of the
    libraries that headstock requires.

    Raises:
        HeadstockError: the class was not read from a file.
    """
    versions = _library_versions()
    hasher = new_digest(f"{cls.__module__}.{cls.__qualname__} {versions}\0".encode())
    # A base's package that is itself such a library counts by its version: it is large.
    for top in sorted({base.__module__.split(".")[0] for base in cls.__mro__}):
        if top not in sys.stdlib_module_names and top not in versions:
            hasher.update(_package_digest(top))
    return hasher.hexdigest()


@cache
def _package_digest(top: str) -> bytes:
    """Return a digest of all source files of an imported top-level package, or of a module that is one file."""
    module = sys.modules.get(top)
    file = getattr(module, "__file__", None)
    if module is not None and hasattr(module, "__path__"):
        sources = {
            path.relative_to(root).as_posix(): path
            for root in map(Path, module.__path__)
            for path in root.rglob("*.py")
        }
    elif file is not None:
        sources = {Path(file).name: Path(file)}
    else:
        sources = {}
    if not sources:
        raise HeadstockError(f"cannot find the source of module '{top}'; a component must be in a Python file")
    hasher = new_digest(f"package {top}\0".encode())
    for name, path in sorted(sources.items()):
        hasher.update(f"{name}\0".encode() + new_digest(path.read_bytes()).digest())
    return hasher.digest()


@cache
def _library_versions() -> dict[str, str | None]:
    """Return the installed version of each library that headstock requires, without its extras; None if absent."""
    versions: dict[str, str | None] = {}
    for line in metadata.requires("headstock") or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            try:
                version = metadata.version(requirement.name)
            except metadata.PackageNotFoundError:
                version = None
            versions[canonicalize_name(requirement.name)] = version
    return dict(sorted(versions.items()))
