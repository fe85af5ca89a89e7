from __future__ import annotations

import numpy as np
import pytest

from headstock.trainer.config import TrainerConfig
from headstock.trainer.plan.accumulation import total_steps, windows
from headstock.trainer.plan.batches import BatchPlan


@pytest.mark.parametrize("costs", [np.full(101, 7), np.random.default_rng(0).integers(5, 60, 101), np.zeros(0)])
@pytest.mark.parametrize("max_steps", [None, 1, 10, 1000])
def test_the_steps_of_a_run_are_counted_before_they_are_made(costs: np.ndarray, max_steps: int | None) -> None:
    plan = BatchPlan(costs, 8, None, seed=3)
    config = TrainerConfig(epochs=5, gradient_accumulation_steps=2, max_steps=max_steps)
    made = sum(1 for _ in windows(plan, config))
    assert total_steps(plan, config) == min(made, max_steps or made)
