import numpy as np
import pytest

from headstock.trainer.plan.batches import BatchPlan


@pytest.fixture
def costs() -> np.ndarray:
    return np.random.default_rng(0).integers(5, 60, size=2000)


def test_an_epoch_has_every_example_once(costs: np.ndarray) -> None:
    batches = BatchPlan(costs, 32, None, seed=1).epoch(0)
    assert sorted(np.concatenate(batches)) == list(range(2000))


def test_no_batch_costs_more_than_the_budget(costs: np.ndarray) -> None:
    plan = BatchPlan(costs, 32, 900, seed=1)
    assert all(len(batch) * costs[batch].max() <= 900 for batch in plan.epoch(0))


def test_an_example_over_the_budget_is_a_batch_of_its_own() -> None:
    plan = BatchPlan(np.array([5, 5, 500]), 2, 10, seed=0)
    assert sorted(len(batch) for batch in plan.epoch(0)) == [1, 2]


def test_padding_is_small(costs: np.ndarray) -> None:
    plan = BatchPlan(costs, 32, None, seed=1)
    padded = sum(len(batch) * costs[batch].max() for batch in plan.epoch(0))
    assert 1 - costs.sum() / padded < 0.08


def test_equal_costs_give_batches_of_the_asked_size() -> None:
    sizes = [len(batch) for batch in BatchPlan(np.full(100, 7), 32, None, seed=0).epoch(0)]
    assert sorted(sizes) == [4, 32, 32, 32]


def test_batches_hold_the_asked_size_on_average(costs: np.ndarray) -> None:
    plan = BatchPlan(costs, 32, None, seed=1)
    assert len(plan.epoch(0)) <= -(-len(costs) // 32)
    assert plan.budget < 1.5 * 32 * costs.mean()


def test_order_follows_from_seed_and_epoch(costs: np.ndarray) -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        return [batch.tolist() for batch in BatchPlan(costs, 32, None, seed=seed).epoch(epoch)]

    assert order(1, 3) == order(1, 3)
    assert order(1, 3) != order(1, 4)
    assert order(1, 3) != order(2, 3)


def test_evaluation_takes_every_example_once_and_the_costly_first(costs: np.ndarray) -> None:
    batches = BatchPlan(costs, 32, None, seed=1).ordered()
    assert sorted(np.concatenate(batches)) == list(range(2000))
    largest = [costs[batch].max() for batch in batches]
    assert largest == sorted(largest, reverse=True)
