"""Writing files so that a kill at any moment leaves either the old content or the new, never half of one."""

from __future__ import annotations

import json
import os
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
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with explain_write_errors(path):
        try:
            with beside.open("w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, indented, beside and renamed."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """Give a folder to fill; on leaving without error it is flushed and becomes ``path``, replacing what was there.

    When another process has made ``path`` in the meantime, theirs is replaced: both hold the same content.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with explain_write_errors(path):
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
    try:
        yield beside
        with explain_write_errors(path):
            _flush(beside)
            if path.exists():
                shutil.rmtree(path)
            beside.rename(path)
            _flush_folder(path.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _flush(folder: Path) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb+") as stream:
                os.fsync(stream.fileno())
    _flush_folder(folder)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
