"""Rows of a file as an Arrow file in the cache, made once and found again by content.

The name of its folder is a digest of what the source file holds, never of its path, size or time, so that changed
data is never read from a stale cache. The library's own loaders are not used for files: its CSV loader fills short rows
up, its JSON loader makes dates of texts that look like one, and a file name with ``[`` is a pattern to it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstock.data.cache.cache_dir import cache_dir
from headstock.data.cache.cached_folder import cached_folder
from headstock.digests import bytes_digest, file_digest
from headstock.interfaces import DataError

if TYPE_CHECKING:
    from datasets import Dataset, Features
    from datasets.arrow_writer import ArrowWriter

ROWS = "rows.arrow"

LAYOUT = 2
"""Counted up whenever the same file would be stored differently."""


def stored(path: Path, how: Any, features: Features, fill: Callable[[ArrowWriter], None]) -> Dataset:
    """Return the rows of a file, memory-mapped; ``fill`` writes them to the cache if they are not there.

    Args:
        path: The source file.
        how: JSON value of everything else that the rows depend on: format, columns.
        features: Types of the rows that ``fill`` writes.
        fill: Writes all rows.

    Raises:
        DataError: the file cannot be read.
        CacheError: the cache cannot be written.
    """
    from datasets import Dataset
    from datasets.arrow_writer import ArrowWriter

    try:
        key = json.dumps([LAYOUT, file_digest(path), how])
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    folder = cache_dir() / "tables" / bytes_digest(key.encode())

    def write(beside: Path) -> None:
        with (beside / ROWS).open("wb") as stream, ArrowWriter(stream=stream, features=features) as writer:
            fill(writer)
            writer.finalize(close_stream=False)

    return Dataset.from_file(str(cached_folder(folder, f"rows of {path}", write) / ROWS))
