"""Splits an optimizer step's batches over the ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from headstock.trainer.plan.batches import Indices


class Part(NamedTuple):
    """A batch, or a rank's part of one.

    Attributes:
        batch: Index of the batch within its optimizer step.
        piece: Index of the part within the batch; 0 for a whole batch. With ``batch`` it names the random state, so a
            batch that is not split has the same on any number of ranks.
        examples: Indices of its examples.
        counts: False where a rank has nothing to do: it goes through an example of another's with a weight of zero,
            since all ranks have to meet in each pass.
    """

    batch: int
    piece: int
    examples: Indices
    counts: bool = True


def split_over_ranks(batches: Sequence[Indices], costs: Indices, rank: int, size: int) -> list[Part]:
    """Return one rank's parts of the batches of an optimizer step; all ranks have the same number, some may not count.

    Together the parts that count have every example once, whatever ``size`` is. As many batches as the ranks can take
    in equal numbers go to them whole; each batch that is left is split into parts of near equal cost, one
    for each rank. Where examples are fewer than ranks the first ranks have them.

    Args:
        batches: Example indices of each batch, ascending in cost.
        costs: Cost of each example, (N,).
        rank: Whose parts.
        size: Number of ranks.
    """
    if size == 1:
        return [Part(index, 0, batch) for index, batch in enumerate(batches)]
    whole = len(batches) // size * size
    parts = [Part(index, 0, batches[index]) for index in range(rank, whole, size)]
    for index in range(whole, len(batches)):
        part = Part(index, rank, split_by_cost(batches[index], costs, size)[rank])
        parts.append(part if len(part.examples) else Part(index, rank, batches[index][:1], counts=False))
    return parts


def split_by_cost(batch: Indices, costs: Indices, size: int) -> list[Indices]:
    """Split a batch into ``size`` runs of near equal cost; where it has fewer examples, the last ones are empty."""
    if len(batch) <= size:
        ends = np.minimum(np.arange(1, size + 1), len(batch))
    else:
        reached = np.cumsum(costs[batch])
        ends = np.searchsorted(reached, reached[-1] * np.arange(1, size + 1) / size - 1e-9) + 1
        # At least one example for each, and one left for each that follows.
        for position in range(size):
            least = (ends[position - 1] if position else 0) + 1
            ends[position] = min(max(ends[position], least), len(batch) - (size - 1 - position))
    return np.split(batch, ends[:-1])
