"""The one door through which files come in that a user or a stranger named.

What is opened here is a regular file of bounded size: a pipe, a device or a socket would wait or never end. What the
operating system or a parser says becomes one line that names the file.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from headstock.error_text import printable, reason, shown
from headstock_registry import HeadstockError

LARGEST = 2**31 - 1
"""Bytes that a file may have which is read as a whole: an image, a sound."""

LARGEST_JSON = 2**28
"""Bytes that a JSON file of a run may have."""

_HALF_PAIR = re.compile(r"\\u[dD][89a-fA-F]")
"""How half of a surrogate pair is written; a whole pair is written as two."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|\n')


class ReadError(HeadstockError):
    """A file that cannot be read, or does not hold what it should."""


class NotJsonError(ReadError):
    """A text that is no JSON."""


class MissingFileError(ReadError):
    """A file that is not there."""


def user_path(text: str | os.PathLike[str], what: str = "") -> Path:
    """Return the path that a user named, ``~`` filled in; it may not exist.

    Args:
        text: What was written.
        what: The option that has it, such as ``data.path``, for errors.

    Raises:
        ReadError: no path can be so (it is empty, too long, or holds NUL), or what lies on the way to it cannot be
            entered.
    """
    written = os.fspath(text)
    label = f"{what}: " if what else ""
    if not written.strip():
        raise ReadError(f"{label}the path is empty")
    try:
        path = Path(written).expanduser()
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return path
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a home folder that is not known
        raise ReadError(f"{label}cannot read {_named(written)}: {reason(error)}") from error
    return path


@contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file for reading bytes; whatever goes wrong until it is closed becomes one line.

    Raises:
        MissingFileError: there is none.
        ReadError: it cannot be read, or it is a folder, pipe, device or socket.
    """
    descriptor = _descriptor(path)
    try:
        with open(descriptor, "rb") as stream:
            yield stream
    except OSError as error:
        raise ReadError(f"cannot read {_named(path)}: {reason(error)}") from error


def require_regular(path: Path) -> None:
    """Raise :class:`ReadError` unless there is a regular file, for libraries that open files themselves."""
    os.close(_descriptor(path))


def _descriptor(path: Path) -> int:
    try:
        _refuse_irregular(path, os.stat(path))
        # Without O_NONBLOCK a pipe that has taken the file's place meanwhile would be waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingFileError(f"cannot read {_named(path)}: {reason(error)}") from error
    except (OSError, ValueError) as error:  # ValueError: NUL in a path
        raise ReadError(f"cannot read {_named(path)}: {reason(error)}") from error
    try:
        _refuse_irregular(path, os.fstat(descriptor))
    except ReadError:
        os.close(descriptor)
        raise
    return descriptor


def read_whole(path: Path, largest: int = LARGEST) -> bytes:
    """Return a file's content.

    Raises:
        ReadError: as :func:`open_regular`, or the file has more than ``largest`` bytes.
    """
    with open_regular(path) as stream:
        content = stream.read(largest + 1)
    if len(content) > largest:
        raise ReadError(f"cannot read {_named(path)}: it has more than {largest:,} bytes")
    return content


def read_utf8(path: Path, largest: int = LARGEST) -> str:
    """Return the text of a UTF-8 file, without its byte-order mark if it has one.

    Raises:
        ReadError: as :func:`read_whole`, or the file is no text in UTF-8.
    """
    content = read_whole(path, largest)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReadError(f"{_named(path)} is {not_utf8(content, error)}") from error


def not_utf8(content: bytes, error: UnicodeDecodeError) -> str:
    """Say what bytes are that are not UTF-8."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "not UTF-8 text but UTF-16; save it as UTF-8"
    return f"{reason(error)}; save it as UTF-8"


def read_json(path: Path, largest: int = LARGEST_JSON, *, finite: bool = True) -> Any:
    """Return what a JSON file holds.

    Raises:
        MissingFileError: there is none.
        ReadError: it cannot be read, or is not what :func:`parse_json` takes.
    """
    return parse_json(read_utf8(path, largest), str(path), finite=finite)


def parse_json(text: str, where: str, line: int = 1, *, finite: bool = True) -> Any:
    """Return what a JSON text says.

    Args:
        text: The text.
        where: What to call it in an error; empty if whoever catches the error says it.
        line: The number of its first line in the file, 0 if lines have no numbers.
        finite: Whether NaN and Infinity are refused, which JSON has not and Python writes.

    Raises:
        NotJsonError: it is not JSON as the standard has it: also NaN, a number of thousands of digits, half of a
            surrogate pair, or a nesting too deep.
        ReadError: an object has a key twice.
    """
    try:
        value = (_FINITE if finite else _ANY_NUMBER).decode(text)
        if _HALF_PAIR.search(text):
            _require_characters(value)
    except json.JSONDecodeError as error:
        place = f" line {line + error.lineno - 1}" if line else ""
        called = f"{where}{place} is " if where else ""
        raise NotJsonError(f"{called}not JSON: {error.msg}, column {error.colno}") from error
    except _DuplicateKeyError as error:
        key, found = _duplicate(text)
        place = f" line {line + found}" if line else ""
        called = f"{where}{place}: " if where else ""
        raise ReadError(f"{called}the key {shown(key)} is there twice") from error
    except (ValueError, RecursionError) as error:
        place = f" line {line}" if line > 1 else ""
        called = f"{where}{place} is " if where else ""
        raise NotJsonError(f"{called}not JSON that can be read: {reason(error)}") from error
    return value


class _DuplicateKeyError(Exception):
    """An object has a key twice."""


def _unique(items: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(items)
    if len(record) < len(items):
        raise _DuplicateKeyError
    return record


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


# Made once: a decoder of its own for each line of a file costs as much as the line.
_FINITE = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)
_ANY_NUMBER = json.JSONDecoder(object_pairs_hook=_unique)


def _require_characters(value: Any) -> None:
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, list):
        for part in value:
            _require_characters(part)
    elif isinstance(value, dict):
        for key, part in value.items():
            key.encode()
            _require_characters(part)


def _duplicate(text: str) -> tuple[str, int]:
    """Return the first key that an object has twice, and how many lines lie above the second one."""
    lines, stack = 0, [set[str]()]
    last: str | None = None
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token == "\n":
            lines += 1
            continue
        if token in "{[":
            stack.append(set())
        elif token in "}]":
            stack.pop()
        elif token == ":" and last is not None:
            key = json.loads(last)
            if key in stack[-1]:
                return key, lines
            stack[-1].add(key)
        last = token if token.startswith('"') else None
    raise AssertionError("the parser has found a key twice")


def _refuse_irregular(path: Path, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise ReadError(f"cannot read {_named(path)}: it is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise ReadError(f"cannot read {_named(path)}: it is not a regular file")


def _named(path: str | os.PathLike[str]) -> str:
    """Return a path for an error: as written, but in one line, printable, and cut in the middle where very long."""
    text = printable(os.fspath(path))
    return text if len(text) <= 300 else f"{text[:120]}…{text[-120:]}"
