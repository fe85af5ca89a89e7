"""Writing files so that a kill at any moment leaves the old content or the new under a name, never half of one."""

from __future__ import annotations

import json
import math
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headstock_registry import HeadstockError


class WriteError(HeadstockError):
    """A file or folder that cannot be written."""


@contextmanager
def explain_write_errors(path: Path) -> Iterator[None]:
    """Turn an operating-system error (no permission, disk full) into one line that names ``path``."""
    try:
        yield
    except OSError as error:
        raise WriteError(f"cannot write {error.filename or path}: {error.strerror or error}") from error


def write_text(path: Path, text: str) -> None:
    """Write a text file: beside, flushed to disk, then renamed."""
    beside = _unused_name(path)
    with explain_write_errors(path):
        try:
            with beside.open("x", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, indented, beside and renamed."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def finite(value: Any) -> Any:
    """Return a JSON value with ``None`` for each float that JSON cannot hold: NaN and the infinities."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return value


@contextmanager
def new_directory(path: Path, keep_existing: bool = False) -> Iterator[Path]:
    """Give a folder to fill; on leaving without error it is flushed and becomes ``path``.

    Args:
        path: The folder's name in the end.
        keep_existing: What to do when ``path`` is there by then. False: replace it; a kill between the two renames
            leaves both under names that end in ``.tmp``. True: keep it and drop the new one, for content that is the
            same whoever makes it, and that others may be reading.
    """
    beside = _unused_name(path)
    with explain_write_errors(path):
        beside.mkdir(parents=True)
    try:
        yield beside
        with explain_write_errors(path):
            _flush(beside)
            if keep_existing:
                _rename_unless_there(beside, path)
            else:
                _rename_over(beside, path)
            _flush_folder(path.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def flush_file(path: Path) -> None:
    """Return once a file's content and its name are on disk."""
    with explain_write_errors(path):
        with path.open("rb+") as stream:
            os.fsync(stream.fileno())
        _flush_folder(path.parent)


def _unused_name(path: Path) -> Path:
    """Return a hidden sibling's name that no other process, thread or container on the same disk uses."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")


def _rename_unless_there(new: Path, path: Path) -> None:
    try:
        new.rename(path)
    except OSError:
        # A folder that is there cannot be renamed over: another process was faster.
        if not path.is_dir():
            raise


def _rename_over(new: Path, path: Path) -> None:
    if not path.is_dir() or path.is_symlink():
        new.rename(path)
        return
    aside = _unused_name(path)
    path.rename(aside)
    try:
        new.rename(path)
    except OSError:
        aside.rename(path)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _flush(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as stream:
                os.fsync(stream.fileno())
        elif path.is_dir():
            _flush_folder(path)
    _flush_folder(folder)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
