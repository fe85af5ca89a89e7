"""Tensors of differing length made one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn, stack

PARTS = 8
"""Round lengths between a power of two and the next one: padding to them adds an eighth at most."""

_to: ContextVar[Callable[[int], int] | None] = ContextVar("to", default=None)
"""Says how long a sequence becomes."""


@contextmanager
def round_lengths(to: Callable[[int], int] | None = None) -> Iterator[None]:
    """Let :func:`pad_stack` pad sequences to round lengths while this is active, so that shapes of batches recur.

    Args:
        to: Says to which length a sequence of some length is padded; by default as :func:`rounded` does.
    """
    token = _to.set(to or (lambda length: int(rounded(np.asarray(length)))))
    try:
        yield
    finally:
        _to.reset(token)


def rounded(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each length the least round one that is not below it: 1 to 16, 18, 20 … 32, 36, 40 … 64, 72 …."""
    _, exponents = np.frexp(np.maximum(lengths - 1, 1))
    steps = 2 ** np.maximum(exponents.astype(np.int64) - PARTS.bit_length(), 0)
    result: NDArray[np.int64] = -(-lengths // steps) * steps
    return result


def pad_stack(tensors: Sequence[Tensor], value: float, sequence: bool = False, longest: int | None = None) -> Tensor:
    """Stack tensors, padding each dimension at its end with ``value`` to the longest: (B, …).

    Args:
        tensors: All with as many dimensions.
        value: What to pad with.
        sequence: Whether the first dimension is a length that differs from example to example and may be padded
            further. On a GPU it then is, a little, so that training steps recur and can be replayed.
        longest: The greatest length that the first dimension may be padded to.
    """
    shape = [max(sizes) for sizes in zip(*(tensor.shape for tensor in tensors), strict=True)]
    to = _to.get() if sequence else None
    if to is not None:
        wanted = to(shape[0])
        shape[0] = max(shape[0], wanted if longest is None else min(wanted, longest))
    if all(list(tensor.shape) == shape for tensor in tensors):
        return stack(list(tensors))
    if len(shape) == 1 and shape[0] == max(len(tensor) for tensor in tensors):
        return nn.utils.rnn.pad_sequence(list(tensors), batch_first=True, padding_value=value)
    stacked = tensors[0].new_full((len(tensors), *shape), value)
    for row, tensor in zip(stacked, tensors, strict=True):
        row[tuple(slice(size) for size in tensor.shape)] = tensor
    return stacked
