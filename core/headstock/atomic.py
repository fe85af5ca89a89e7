"""Writing files so that a kill at any moment leaves the old content or the new under a name, never half of one."""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from headstock_registry import HeadstockError

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}\.tmp")
"""Names of work in progress; see :func:`_unused_name`."""


class WriteError(HeadstockError):
    """A file or folder that cannot be written."""


@contextmanager
def explain_write_errors(path: Path) -> Iterator[None]:
    """Turn an operating-system error (no permission, disk full) into one line that names ``path``."""
    try:
        yield
    except _write_errors() as error:
        name = getattr(error, "filename", None) or path
        raise WriteError(f"cannot write {name}: {getattr(error, 'strerror', None) or error}") from error


def _write_errors() -> tuple[type[Exception], ...]:
    """Return what is raised where writing fails; called only when something is."""
    from safetensors import SafetensorError

    return OSError, SafetensorError


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
            with suppress(OSError):  # what was raised before says why
                beside.unlink()


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

    Its files get the permissions that the umask allows, also those of libraries that write for the owner alone.

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
            _open_to_umask(beside)
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


def discard(folder: Path) -> None:
    """Remove a folder such that nobody ever finds a part of it.

    Raises:
        OSError: it cannot be moved aside.
    """
    aside = _unused_name(folder)
    folder.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)


def remove_leftovers(folder: Path, age: float = 0.0) -> None:
    """Remove what writing left in a folder when its process was killed: hidden names that only this module gives.

    Args:
        folder: A folder that no other process writes to; or else leave it time with ``age``.
        age: Seconds since something in it was last written.

    Raises:
        WriteError: something cannot be removed.
    """
    with explain_write_errors(folder):
        for path in folder.glob(".*.tmp"):
            if _TEMPORARY.fullmatch(path.name) is None or time.time() - _last_written(path) < age:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _last_written(path: Path) -> float:
    try:
        inside = [part.lstat().st_mtime for part in path.rglob("*")] if path.is_dir() else []
        return max([path.lstat().st_mtime, *inside])
    except FileNotFoundError:  # its process is at work
        return math.inf


def _open_to_umask(folder: Path) -> None:
    """Give files the permissions of the folder, which the umask decided when it was made."""
    mode = stat.S_IMODE(folder.stat().st_mode) & 0o666
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and stat.S_IMODE(path.stat().st_mode) & 0o666 != mode:
            path.chmod(mode)


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
