"""Where Headstock keeps what it can make again: tables as Arrow files, preprocessed examples."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "HEADSTOCK_CACHE"


def cache_dir() -> Path:
    """Return the cache folder: ``$HEADSTOCK_CACHE``, or ``~/.cache/headstock``. It may not exist yet."""
    return Path(os.environ.get(VARIABLE) or "~/.cache/headstock").expanduser()
