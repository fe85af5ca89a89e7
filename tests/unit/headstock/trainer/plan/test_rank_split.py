from __future__ import annotations

import numpy as np
import pytest

from headstock.trainer.plan.batches import BatchPlan
from headstock.trainer.plan.rank_split import Part, split_over_ranks

COSTS = np.random.default_rng(0).integers(1, 60, 203)


def dealt(accumulation: int, batch_size: int, size: int) -> list[list[list[Part]]]:
    """Return the parts of an epoch by step and rank."""
    batches = BatchPlan(COSTS, batch_size, None, seed=1).epoch(0)
    steps = [batches[start : start + accumulation] for start in range(0, len(batches), accumulation)]
    return [[split_over_ranks(step, COSTS, rank, size) for rank in range(size)] for step in steps]


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize(("accumulation", "batch_size"), [(1, 32), (1, 3), (4, 8), (5, 1), (7, 16)])
def test_ranks_have_every_example_once(accumulation: int, batch_size: int, size: int) -> None:
    for ranks in dealt(accumulation, batch_size, size):
        assert all(len(parts) and all(len(part.examples) for part in parts) for parts in ranks)
        assert len({len(parts) for parts in ranks}) == 1
        assert all(part.counts for part in ranks[0])
    counted = [
        part.examples for step in dealt(accumulation, batch_size, size) for p in step for part in p if part.counts
    ]
    assert sorted(np.concatenate(counted).tolist()) == list(range(len(COSTS)))


def test_batches_go_whole_where_they_can_and_keep_their_index() -> None:
    batches = [np.array([number]) for number in range(6)]
    assert [(part.batch, part.piece) for part in split_over_ranks(batches, COSTS, 1, 2)] == [(1, 0), (3, 0), (5, 0)]
    assert [(part.batch, part.piece) for part in split_over_ranks(batches[:3], COSTS, 0, 2)] == [(0, 0), (2, 0)]
    parts = split_over_ranks(batches[:3], COSTS, 1, 2)
    assert [(part.batch, part.piece, part.counts) for part in parts] == [(1, 0, True), (2, 1, False)]


def test_a_rank_for_which_nothing_is_left_takes_part_with_what_does_not_count() -> None:
    assert split_over_ranks([np.array([5, 7])], COSTS, 2, 3) == [Part(0, 2, np.array([5]), counts=False)]


def test_parts_of_a_batch_cost_about_the_same() -> None:
    costs = np.arange(1, 101)
    batch = np.arange(100)
    parts = [split_over_ranks([batch], costs, rank, 4)[0] for rank in range(4)]
    sums = [int(costs[part.examples].sum()) for part in parts]
    assert max(sums) - min(sums) <= 100
    assert [part.piece for part in parts] == [0, 1, 2, 3]


def test_one_dear_example_leaves_some_for_the_others() -> None:
    costs = np.array([1, 1, 1, 1000])
    assert [len(split_over_ranks([np.arange(4)], costs, rank, 3)[0].examples) for rank in range(3)] == [2, 1, 1]
