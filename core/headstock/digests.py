"""Digests: 128 bits of BLAKE2b, the one way in which Headstock names content and tells that a file was damaged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

CHECKSUM = "checksum"
"""Key of the last value in a sealed JSON object: a digest of all before it."""


def new_digest(start: bytes = b"") -> hashlib.blake2b:
    """Return a digest that more can be fed to with ``update``."""
    return hashlib.blake2b(start, digest_size=16)


def bytes_digest(*parts: bytes) -> str:
    """Return the hexadecimal digest of bytes; how they are cut in parts makes no difference."""
    found = new_digest()
    for part in parts:
        found.update(part)
    return found.hexdigest()


def json_digest(value: Any) -> str:
    """Return the hexadecimal digest of a JSON value; the order of an object's keys makes no difference."""
    return bytes_digest(json.dumps(value, sort_keys=True).encode())


def file_digest(path: Path) -> str:
    """Return the hexadecimal digest of a file's content, read in pieces.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, new_digest).hexdigest()


def folder_digests(folder: Path) -> dict[str, str]:
    """Return the digest of each file in a folder and the folders in it, by its path there with ``/``.

    Raises:
        OSError: a file cannot be read.
    """
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in sorted(files)}


def damage(folder: Path, digests: Mapping[str, str]) -> str | None:
    """Return which of a folder's files is not what was written, and how so; ``None`` if all are.

    Args:
        folder: The folder.
        digests: What :func:`folder_digests` returned when the files were written. A name that leads out of the folder
            is not followed. Further files in the folder are not looked at.
    """
    for name, digest in digests.items():
        path = folder / name
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            return f"{name} is not in the folder"
        try:
            if path.exists() and not path.is_file():  # a pipe or a device would be read for ever
                return f"{name} is not a regular file"
            if file_digest(path) != digest:
                return f"{name} is not what was written"
        except OSError as error:
            return f"{name}: {error.strerror or error}"
    return None


def seal(content: Mapping[str, Any]) -> str:
    """Return a JSON object as the text of a file that ends in a checksum of the rest; see :func:`unseal`."""
    checksum = bytes_digest(json.dumps(dict(content)).encode())
    return json.dumps({**content, CHECKSUM: checksum}, indent=2) + "\n"


def unseal(data: bytes) -> dict[str, Any]:
    """Return the JSON object that :func:`seal` made a text of, without the checksum.

    Raises:
        ValueError: the text is not, to the last byte, what was written.
    """
    try:
        text = data.decode()
        content = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(content, dict):
        raise ValueError("no JSON object")
    content.pop(CHECKSUM, None)
    if seal(content) != text:
        raise ValueError("another checksum")
    return content
