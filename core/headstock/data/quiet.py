"""Keeps the datasets library's progress bars and warnings off the screen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_datasets() -> Iterator[None]:
    """Silence the datasets library, then leave its settings as they were.

    Its environment variable for progress bars has the last word.
    """
    import datasets
    from datasets.utils.logging import get_verbosity, set_verbosity

    verbosity = get_verbosity()
    bars = not datasets.are_progress_bars_disabled() and datasets.config.HF_DATASETS_DISABLE_PROGRESS_BARS is None
    set_verbosity(datasets.logging.CRITICAL)
    if bars:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        set_verbosity(verbosity)
        if bars:
            datasets.enable_progress_bars()
