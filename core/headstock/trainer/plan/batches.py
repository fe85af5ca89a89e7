"""Cuts examples into batches by a cost budget, with examples of like cost together."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]

LEAST_IN_POOL = 8
MOST_IN_POOL = 64
"""Shuffled examples are sorted by cost in pools of so many batches' worth: half of all, within these limits. Large
enough that padding is small, small enough that batches differ from epoch to epoch."""

MOST_OVER_MEAN = 4
"""A batch of cheap examples holds at most this many times ``batch_size``."""


GROWTH = 1.01
GROWN_AT_MOST = 1.5
"""By how much the default budget grows at a time, and in all."""


class BatchPlan:
    """Which examples make up which batch, for any epoch, from nothing but costs and a seed.

    The order depends on (seed, epoch) alone, so a run that is resumed sees the same batches.

    Args:
        costs: Cost of each example in the backbone's unit, (N,).
        batch_size: Examples in a batch, on average.
        budget: Cost of a batch with padding, that is: number of examples times the largest cost. By default so much
            that batches hold ``batch_size`` examples on average, or more.
        seed: Seed of the shuffling.
    """

    def __init__(self, costs: Indices, batch_size: int, budget: int | None, seed: int) -> None:
        self.costs = np.maximum(np.asarray(costs, dtype=np.int64), 1)
        self.batch_size = batch_size
        self.seed = seed
        self._most = batch_size * MOST_OVER_MEAN
        self._chosen_budget = budget

    @cached_property
    def budget(self) -> int:
        """The budget of a batch, in the backbone's unit.

        What ``batch_size`` examples of mean cost need is not quite enough for so many: examples are not divisible, and
        are padded. Every batch too many is a step too many, so the budget grows, within limits, until the first epoch
        has none. Where a few examples cost much more than the rest, batches of the rest are larger than asked for.
        """
        if self._chosen_budget is not None or not len(self.costs):
            return self._chosen_budget or self.batch_size
        if self.batch_size == 1:
            return 1
        wanted = -(-len(self.costs) // self.batch_size)
        best = fewest = 0
        factor = 1.0
        while factor < GROWN_AT_MOST:
            budget = int(np.ceil(self._mean_budget * factor))
            batches = len(self._epoch(0, budget))
            if not best or batches < fewest:
                best, fewest = budget, batches
            if batches <= wanted:
                break
            factor *= GROWTH
        return best

    @cached_property
    def uniform(self) -> bool:
        """Whether all examples cost the same; every epoch then has as many batches."""
        return len(self.costs) == 0 or bool((self.costs == self.costs[0]).all())

    @property
    def _mean_budget(self) -> float:
        return self.batch_size * float(self.costs.mean()) if len(self.costs) else float(self.batch_size)

    def epoch(self, epoch: int) -> list[Indices]:
        """Return the batches of one epoch in training order: every example once."""
        return self._epoch(epoch, self.budget)

    def _epoch(self, epoch: int, budget: int) -> list[Indices]:
        generator = np.random.Generator(np.random.PCG64([self.seed, epoch]))
        order = generator.permutation(len(self.costs))
        half = len(order) // (2 * self.batch_size)
        pool = min(max(half, LEAST_IN_POOL), MOST_IN_POOL) * self.batch_size
        batches: list[Indices] = []
        for start in range(0, len(order), pool):
            part = order[start : start + pool]
            batches += self._cut(part[np.argsort(self.costs[part], kind="stable")], budget)
        return [batches[index] for index in generator.permutation(len(batches))]

    def costliest(self) -> Indices:
        """Return the batch of the first epoch that costs most, padding included."""
        return max(self.epoch(0), key=lambda batch: len(batch) * int(self.costs[batch].max()))

    def ordered(self) -> list[Indices]:
        """Return batches for evaluation, the most costly first so that memory runs out early or not at all."""
        budget = self._chosen_budget or int(np.ceil(self._mean_budget))
        return self._cut(np.argsort(self.costs, kind="stable"), budget)[::-1]

    def _cut(self, ascending: Indices, budget: int) -> list[Indices]:
        """Cut examples that ascend in cost, from the costly end."""
        batches: list[Indices] = []
        end = len(ascending)
        while end > 0:
            largest = int(self.costs[ascending[end - 1]])
            size = min(max(budget // largest, 1), self._most, end)
            batches.append(ascending[end - size : end])
            end -= size
        return batches[::-1]
