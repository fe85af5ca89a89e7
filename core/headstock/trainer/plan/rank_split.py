"""Which part of an optimizer step's batches a rank takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from headstock.trainer.plan.batches import Indices


class Part(NamedTuple):
    """A batch, or a rank's part of one.

    Attributes:
        number: Number of the batch within its optimizer step, from 0.
        cut: Number of the part within the batch, from 0; 0 for a whole batch. With ``number`` it names the random
            state, so a batch that is not cut has the same on any number of ranks.
        indices: Example numbers.
        counts: False where a rank has nothing to do: it goes through an example of another's with a weight of zero,
            since all ranks have to meet in each pass.
    """

    number: int
    cut: int
    indices: Indices
    counts: bool = True


def share(batches: Sequence[Indices], costs: Indices, rank: int, size: int) -> list[Part]:
    """Return one rank's part of the batches of an optimizer step; all ranks have the same number, some may not count.

    Together the parts that count have every example once, whatever ``size`` is. As many batches as the ranks can take
    in equal numbers go to them whole; each batch that is left is cut into near equal parts by cost, one for each rank.
    Where examples are fewer than ranks the first ranks have them.

    Args:
        batches: Example numbers of each batch, ascending in cost.
        costs: Cost of each example, (N,).
        rank: Whose part.
        size: Number of ranks.
    """
    if size == 1:
        return [Part(number, 0, indices) for number, indices in enumerate(batches)]
    whole = len(batches) // size * size
    parts = [Part(number, 0, batches[number]) for number in range(rank, whole, size)]
    for number in range(whole, len(batches)):
        part = Part(number, rank, cut(batches[number], costs, size)[rank])
        parts.append(part if len(part.indices) else Part(number, rank, batches[number][:1], counts=False))
    return parts


def cut(batch: Indices, costs: Indices, size: int) -> list[Indices]:
    """Cut a batch into ``size`` runs of near equal cost; where it has fewer examples, the last ones are empty."""
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
