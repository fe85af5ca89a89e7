"""Cuts examples into batches by a cost budget, with examples of like cost together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]

POOL = 32
"""Batches' worth of shuffled examples that are sorted by cost together: large enough that padding is small, small
enough that batches differ from epoch to epoch."""

MOST_OVER_MEAN = 4
"""A batch of cheap examples holds at most this many times ``batch_size``."""


class BatchPlan:
    """Which examples make up which batch, for any epoch, from nothing but costs and a seed.

    The order depends on (seed, epoch) alone, so a run that goes on after a stop sees the same batches.

    Args:
        costs: Cost of each example in the backbone's unit, (N,).
        batch_size: Examples in a batch, on average.
        budget: Cost of a batch with padding, that is: number of examples times the largest cost. By default what
            ``batch_size`` examples of mean cost need.
        seed: Seed of the shuffling.
    """

    def __init__(self, costs: Indices, batch_size: int, budget: int | None, seed: int) -> None:
        self.costs = np.maximum(np.asarray(costs, dtype=np.int64), 1)
        self.batch_size = batch_size
        self.budget = budget or int(np.ceil(batch_size * self.costs.mean())) if len(costs) else batch_size
        self.seed = seed
        self._most = batch_size * MOST_OVER_MEAN

    def epoch(self, epoch: int) -> list[Indices]:
        """Return the batches of one epoch in training order: every example once."""
        generator = np.random.Generator(np.random.PCG64([self.seed, epoch]))
        order = generator.permutation(len(self.costs))
        pool = POOL * self.batch_size
        batches: list[Indices] = []
        for start in range(0, len(order), pool):
            part = order[start : start + pool]
            batches += self._cut(part[np.argsort(self.costs[part], kind="stable")])
        return [batches[number] for number in generator.permutation(len(batches))]

    def ordered(self) -> list[Indices]:
        """Return batches for evaluation, the most costly first so that memory runs out early or not at all."""
        return self._cut(np.argsort(self.costs, kind="stable"))[::-1]

    def _cut(self, ascending: Indices) -> list[Indices]:
        """Cut examples that ascend in cost, from the costly end."""
        batches: list[Indices] = []
        end = len(ascending)
        while end > 0:
            largest = int(self.costs[ascending[end - 1]])
            size = min(max(self.budget // largest, 1), self._most, end)
            batches.append(ascending[end - size : end])
            end -= size
        return batches[::-1]
