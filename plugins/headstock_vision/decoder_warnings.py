"""Keeps decoders of images from warning, in however many threads they work."""

from __future__ import annotations

import threading
import warnings
from types import TracebackType

from PIL import Image


class QuietDecoders:
    """While this is entered, in any thread, warnings are ignored, but for that of a decompression bomb: it is an error.

    Python has one list of warning filters for all threads. It is changed by the first that enters and restored by the
    last that leaves.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                # Warnings about broken metadata would be one per file, and the pixels are all that is wanted.
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", Image.DecompressionBombWarning)
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._filters.__exit__(kind, value, trace)


quiet_decoders = QuietDecoders()
"""The one for all threads."""
