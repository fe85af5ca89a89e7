"""What to do when memory runs out: batches are cut, and the cost that was too much is remembered."""

from __future__ import annotations

import gc
from collections.abc import Callable

import numpy as np
import torch

from headstock.trainer.plan.batches import Indices
from headstock_registry import HeadstockError

MARKS = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "std::bad_alloc",
)
"""How an error of no class of its own says that memory ran out: torch's allocator on the CPU, and what allocates on
the GPU beside torch's allocator."""

OUT_OF_MEMORY = (
    "out of memory with {} examples on this rank; lower trainer.batch_size, that of all ranks together (and raise "
    "trainer.gradient_accumulation_steps by the same factor), or try trainer.gradient_checkpointing=true"
)
"""What is said where the ranks are in the middle of something together, so that none can do its part anew."""


class DoesNotFitError(HeadstockError):
    """An example that is too large for the memory there is, even in a batch of its own."""


class MemoryRelief:
    """What can be freed when memory runs out, before batches are cut."""

    def __init__(self) -> None:
        self._releases: list[Callable[[], bool]] = []

    def register(self, release: Callable[[], bool]) -> None:
        """Add a callback that frees memory and tells whether there was any to free."""
        self._releases.append(release)

    def release(self) -> bool:
        """Free what there is, and tell whether there was any."""
        freed = [release() for release in self._releases]
        return any(freed)


class CostLimit:
    """The greatest cost of a batch that still fits, learnt from those that did not.

    Cost is counted as :class:`~headstock.trainer.plan.batches.BatchPlan` counts it: number of examples times the
    largest cost, as all are padded to it.

    Args:
        costs: Cost of each example in the backbone's unit, (N,).
        name: Names an example by its index, for an error.
        advice: What to do about an example that does not fit alone.
        relief: What may be freed before batches are cut.
    """

    def __init__(
        self, costs: Indices, name: Callable[[int], str], advice: str, relief: MemoryRelief | None = None
    ) -> None:
        self._costs, self._name, self._advice = costs, name, advice
        self._relief = relief or MemoryRelief()
        self.value: int | None = None
        """The limit; ``None`` as long as everything fits."""

    def relieve(self) -> bool:
        """Free memory that can be done without, and tell whether there was any; try it before cutting batches."""
        return self._relief.release()

    def cut(self, batch: Indices) -> list[Indices]:
        """Return the batch in pieces within the limit, in order: halves, halves of halves, at last single examples."""
        if self.value is None or len(batch) < 2 or len(batch) * self._largest(batch) <= self.value:
            return [batch]
        middle = (len(batch) + 1) // 2
        return self.cut(batch[:middle]) + self.cut(batch[middle:])

    def lower(self, failed: Indices) -> None:
        """Learn from a piece that did not fit: half of its examples are tried next.

        Raises:
            DoesNotFitError: it is a single example; says which.
        """
        if len(failed) < 2:
            name = self._name(int(failed[0]))
            raise DoesNotFitError(f"{name} does not fit into memory, even in a batch of its own; {self._advice}")
        half = (len(failed) + 1) // 2 * self._largest(failed)
        self.value = half if self.value is None else min(half, self.value)

    def _largest(self, batch: Indices) -> int:
        return max(int(np.max(self._costs[batch])), 1)


def fits(work: Callable[[], None], device: torch.device) -> bool:
    """Do ``work`` and return True, or False if memory ran out over it, after letting go of what it held."""
    try:
        work()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    else:
        return True
    # Only now is the error gone, and with it the frames of the work and all tensors in them.
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return False


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether an error, or what it was made of, says that memory ran out, on the GPU or on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or any(mark in str(error) for mark in MARKS):
        return True
    return isinstance(error.__cause__, Exception) and is_out_of_memory(error.__cause__)
