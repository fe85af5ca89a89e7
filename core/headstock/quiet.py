"""Keeps progress bars and warnings of libraries off the screen."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm.std import tqdm

DISABLE = 10
"""Place of ``disable`` among the arguments of a bar."""


class _Bars:
    """Counts who wants no bars; the first replaces tqdm's constructor, the last puts it back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted = 0
        self._original: Callable[..., None] = tqdm.__init__

    def silence(self) -> None:
        """Let no bar that is made from now on be drawn."""
        with self._lock:
            self._wanted += 1
            if self._wanted == 1:
                original = self._original = tqdm.__init__

                def disabled(bar: Any, *arguments: Any, **options: Any) -> None:
                    original(bar, *arguments[:DISABLE], **{**options, "disable": True})

                tqdm.__init__ = disabled  # type: ignore[method-assign, assignment]

    def allow(self) -> None:
        """Take one :meth:`silence` back."""
        with self._lock:
            self._wanted -= 1
            if self._wanted == 0:
                tqdm.__init__ = self._original  # type: ignore[method-assign]


_bars = _Bars()


@contextmanager
def no_bars() -> Iterator[None]:
    """Let no library draw a bar: transformers, datasets, the Hub client and torch all use tqdm.

    It may be nested and used by several threads; bars are back when the last one has left.
    """
    _bars.silence()
    try:
        yield
    finally:
        _bars.allow()


@contextmanager
def quiet_datasets() -> Iterator[None]:
    """Silence the datasets library, then leave its settings as they were."""
    import datasets
    from datasets.utils.logging import get_verbosity, set_verbosity

    verbosity = get_verbosity()
    set_verbosity(datasets.logging.CRITICAL)
    try:
        with no_bars():
            yield
    finally:
        set_verbosity(verbosity)
