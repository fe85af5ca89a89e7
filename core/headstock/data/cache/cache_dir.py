"""Where Headstock keeps what it can make again: tables as Arrow files, preprocessed examples."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from headstock.files import user_path

VARIABLE = "HEADSTOCK_CACHE"
_REDIRECTED: ContextVar[Path | None] = ContextVar("headstock_cache", default=None)


def cache_dir() -> Path:
    """Return the cache folder: ``$HEADSTOCK_CACHE``, or ``~/.cache/headstock``. It may not exist yet.

    Raises:
        ReadError: no folder can be there.
    """
    return _REDIRECTED.get() or user_path(os.environ.get(VARIABLE) or "~/.cache/headstock", VARIABLE)


@contextmanager
def redirected_cache(folder: Path) -> Iterator[None]:
    """Take another cache folder meanwhile, so that what is tried out neither reads nor fills the user's own."""
    token = _REDIRECTED.set(folder)
    try:
        yield
    finally:
        _REDIRECTED.reset(token)
