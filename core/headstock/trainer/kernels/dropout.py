"""Dropout masks on the CPU, several times faster than torch makes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from headstock.trainer.kernels.patches import PATCHES, Undo

LEVELS = 2**16
"""A probability is rounded to the nearest of so many levels: an error of less than one in a hundred thousand."""

SMALL = 4096
"""Elements below which torch's own kernel is faster, for several calls cost more than the numbers."""

LARGE = 2**18
"""Elements from which on numpy's generator is faster, for it takes a while to be set up."""


@contextmanager
def fast_dropout() -> Iterator[None]:
    """Let dropout on the CPU draw its masks four numbers at a time while this is active.

    torch draws a number for each element, on one thread: up to a quarter of a training step in bfloat16. Here a 64-bit
    number gives four elements, and large masks come from a faster generator (numpy's SFC64) that torch's one seeds. So
    ``torch.manual_seed`` decides the masks as before, though they are others, and every way to dropout (modules,
    functions, attention) is covered: what is exchanged is the CPU kernel of ``aten::bernoulli_``, and it is put back at
    the end. GPUs have their own.
    """
    with PATCHES.active("dropout", _replace_bernoulli):
        yield


def _replace_bernoulli() -> Undo:
    library: Any = torch.library.Library("aten", "IMPL")  # type: ignore[no-untyped-call]
    library.impl("bernoulli_.float", _bernoulli, "CPU", allow_override=True)
    undo: Undo = library._destroy
    return undo


def _bernoulli(values: Tensor, p: float = 0.5, *, generator: torch.Generator | None = None) -> Tensor:
    """Fill ``values`` with ones, each with probability ``p``, and zeros."""
    threshold = round(p * LEVELS)
    if threshold in (0, LEVELS):
        return values.fill_(threshold // LEVELS)
    count = values.numel()
    if count < SMALL:  # with a tensor for the probability it is another kernel, that was not exchanged
        return values.bernoulli_(torch.tensor(p), generator=generator)
    bits = _words(-(-count // 4), generator).view(torch.int16)[:count].view(values.shape)
    # Into `values` at once: a copy from a tensor of bools is eight times slower.
    return torch.lt(bits, threshold - LEVELS // 2, out=values)


def _words(count: int, generator: torch.Generator | None) -> Tensor:
    """Return so many random 64-bit numbers, (count,)."""
    if 4 * count < LARGE:
        return torch.empty(count, dtype=torch.int64, device="cpu").random_(-(2**63), None, generator=generator)
    seed = torch.empty((), dtype=torch.int64, device="cpu").random_(generator=generator)
    return torch.from_numpy(np.random.SFC64(int(seed)).random_raw(count).view(np.int64))
