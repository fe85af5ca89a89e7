"""Text files, with errors that name them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from headstock.files import ReadError, not_utf8, open_regular
from headstock.interfaces import DataError


@contextmanager
def open_text(path: Path, newline: str | None = None) -> Iterator[TextIO]:
    """Open a UTF-8 file, with or without byte-order mark, for reading.

    Raises:
        DataError: the file cannot be read, or what is read from it is not UTF-8.
    """
    try:
        with open_regular(path) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline=newline) as stream:
            yield stream
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is {_what_it_is(path, error)}") from error
    except ReadError as error:
        raise DataError(str(error)) from error


def _what_it_is(path: Path, error: UnicodeDecodeError) -> str:
    with open_regular(path) as raw:
        return not_utf8(raw.read(2), error)
