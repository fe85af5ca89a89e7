"""Memory that the C library keeps from batch to batch instead of handing it back to the system."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from headstock.trainer.config import TrainerConfig
from headstock.trainer.kernels.patches import PATCHES, Undo

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
"""Parameters of glibc's ``mallopt`` (``malloc.h``)."""

NEVER = -1
DEFAULT_MMAP_MAX = 65536
LARGEST_DYNAMIC = 32 * 2**20
"""What glibc's own thresholds grow to as a program frees large blocks; the other one is twice it."""

SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES")
"""Variables by which a user tells glibc how to go about memory (``mallopt(3)``)."""


@contextmanager
def kept_memory(config: TrainerConfig, device: torch.device) -> Iterator[None]:
    """Let the C library keep what is freed over a batch for the next one, while this is active.

    glibc maps each large block anew and gives it back when it is freed, and the system hands it out page by page and
    wiped, which takes long where blocks are large, as those of images are. Here large blocks come from the heap, and
    the heap does not shrink. At the end all that is free goes back. Off on GPUs, with ``trainer.keep_memory=false``,
    where the C library is another one, and where the user has told it how to go about memory.
    """
    asked = config.keep_memory and device.type == "cpu" and not any(name in os.environ for name in SETTINGS)
    library = _glibc() if asked else None
    if library is None:
        yield
        return
    with PATCHES.active("glibc heap", partial(_keep_heap, library)):
        yield


def _keep_heap(library: Any) -> Undo:
    library.mallopt(TRIM_THRESHOLD, NEVER)
    library.mallopt(MMAP_MAX, 0)

    def undo() -> None:
        library.mallopt(TRIM_THRESHOLD, 2 * LARGEST_DYNAMIC)
        library.mallopt(MMAP_THRESHOLD, LARGEST_DYNAMIC)
        library.mallopt(MMAP_MAX, DEFAULT_MMAP_MAX)
        library.malloc_trim(0)

    return undo


def _glibc() -> Any:
    """Return the C library this process runs on if it is glibc, else ``None``."""
    try:
        library = ctypes.CDLL(None)
    except (OSError, TypeError):  # not a system where a process can look into itself
        return None
    return library if hasattr(library, "gnu_get_libc_version") else None
