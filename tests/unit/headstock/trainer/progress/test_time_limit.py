"""A time limit is read as people write it, and leaves time for the last validation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError
from torch import nn

from headstock.engine.setup import check_options
from headstock.recipe.read import resolve_recipe
from headstock.trainer.config import TrainerConfig
from headstock.trainer.progress.time_limit import TimeLimit
from headstock.trainer.trainer import Trainer
from headstock_registry import HeadstockError, load_catalogue

MakeTrainer = Callable[..., tuple[nn.Module, Trainer]]


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("90s", 90), ("10m", 600), ("10 min", 600), ("1h30m", 5400), ("2d", 172800), ("1.5m", 90), ("45", 45), (0.5, 0.5)],
)
def test_durations(written: Any, seconds: float) -> None:
    assert TrainerConfig(time=written).time == seconds


@pytest.mark.parametrize("written", ["", "ten minutes", "10x", "m", "-5s", 0, -1, "nan", "inf", "1m1h", True])
def test_what_is_no_duration(written: Any) -> None:
    with pytest.raises(ValidationError):
        TrainerConfig(time=written)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def steps(self, limit: TimeLimit, seconds: float) -> None:
        self.now += seconds
        limit.end_step()


def test_the_last_validation_ends_in_time() -> None:
    clock = Clock()
    limit = TimeLimit(100.0, before=10.0, clock=clock)
    clock.steps(limit, 30.0)
    assert (limit.elapsed, limit.fraction, limit.wants_validation, limit.reached) == (40.0, 0.4, True, False)
    with limit.pause(validates=False):
        clock.now += 1.0
    assert limit.wants_validation
    with limit.pause(validates=True):
        clock.now += 9.0
    assert not limit.wants_validation
    clock.steps(limit, 10.0)
    # 60 s of 100 are gone; the longest step took 30 s, the longest pause 9 s.
    assert not limit.reached
    assert limit.fraction == pytest.approx(60 / 91)
    clock.steps(limit, 1.0)
    assert limit.reached


def test_without_a_limit_nothing_ends() -> None:
    clock = Clock()
    limit = TimeLimit(None, 0.0, clock)
    clock.steps(limit, 1e9)
    assert (limit.fraction, limit.reached, limit.wants_validation) == (0.0, False, False)


def test_training_ends_with_weights_of_a_validation(make_trainer: MakeTrainer) -> None:
    _, trainer = make_trainer(time=1e-6)
    result = trainer.fit()
    assert (result.steps, result.best.step, result.out_of_time, result.stopped_early) == (1, 1, True, False)
    _, again = make_trainer(time=1e-6)
    again.resume()
    assert again.fit().steps == 1


def test_time_that_is_not_needed_changes_nothing(make_trainer: MakeTrainer) -> None:
    plain, trainer = make_trainer("plain")
    expected = trainer.fit()
    limited, trainer = make_trainer("limited", time="9d")
    found = trainer.fit()
    assert (found.steps, found.best, found.out_of_time) == (expected.steps, expected.best, False)
    assert all(one.equal(other) for one, other in zip(plain.parameters(), limited.parameters(), strict=True))


def test_several_processes_have_no_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    resolved = resolve_recipe(load_catalogue(), "text-classification", ["trainer.time=1m", "trainer.device=cpu"])
    with pytest.raises(
        HeadstockError, match=r"trainer\.time is for one process; under torchrun set trainer\.max_steps"
    ):
        check_options(resolved)
