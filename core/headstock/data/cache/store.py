"""Rows of a file as an Arrow file in the cache, made once and found again by content.

The name of its folder is a digest of what the source file holds, never of its path, size or time, so that changed
data is never read from a stale cache. The library's own loaders are not used for files: its CSV loader fills short rows
up, its JSON loader makes dates of texts that look like one, and a file name with ``[`` is a pattern to it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from headstock.data.cache.cache_dir import cache_dir
from headstock.data.cache.cached_folder import cached_folder
from headstock.digests import bytes_digest, file_digest
from headstock.interfaces import DataError

ROWS = "rows.arrow"

LAYOUT = 4
"""Counted up whenever the same file would be stored differently."""


def stored(path: Path, how: Any, fill: Callable[[BinaryIO], None]) -> Path:
    """Return the file of the cache that holds the rows of a file; ``fill`` writes it if it is not there.

    Args:
        path: The source file.
        how: JSON value of everything else that the rows depend on: format, columns.
        fill: Writes all rows as an Arrow stream.

    Raises:
        DataError: the file cannot be read.
        CacheError: the cache cannot be written.
    """
    try:
        key = json.dumps([LAYOUT, file_digest(path), how])
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    folder = cache_dir() / "tables" / bytes_digest(key.encode())

    def write(beside: Path) -> None:
        with (beside / ROWS).open("wb") as stream:
            fill(stream)

    return cached_folder(folder, f"rows of {path}", write) / ROWS
