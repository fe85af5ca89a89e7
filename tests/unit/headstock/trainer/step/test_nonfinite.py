"""A loss or gradient that is not finite stops the run or is skipped, and never reaches weights, moments or buffers."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from headstock import HeadstockError
from headstock.interfaces import Batch
from headstock.trainer.progress.stop_signal import InterruptedRunError
from headstock.trainer.step.optimizer import optimizer_tensors
from headstock.trainer.trainer import MOST_SKIPPED_IN_A_ROW, Trainer

Make = Callable[..., tuple[nn.Module, Trainer]]
Collate = Callable[[Any], Batch]


def poison(collate: Collate, *calls: int, value: float = float("nan")) -> Collate:
    """Return a collate whose batches at these positions (from 1) hold something that is not finite."""
    number = 0

    def poisoned(indices: Any) -> Batch:
        nonlocal number
        number += 1
        batch = collate(indices)
        return Batch({"x": batch.inputs["x"] * value}, batch.targets, batch.size) if number in calls else batch

    return poisoned


def everything(module: nn.Module, trainer: Trainer) -> dict[str, Tensor]:
    tensors = {**module.state_dict(), **optimizer_tensors(trainer.parts.optimizer)}
    return {name: value.clone() for name, value in tensors.items()}


def records(folder: Path, kind: str = "train") -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_skipped_step_changes_nothing(make_trainer: Make, collate: Collate, value: float) -> None:
    # Without a schedule, the steps of a run are those of one that never had the skipped ones.
    seen: list[dict[str, Tensor]] = []

    def keep(indices: Any) -> Batch:
        seen.append(everything(module, trainer))
        return poisoned(indices)

    poisoned = poison(collate, 1, 4, value=value)
    module, trainer = make_trainer(collate=keep, on_nonfinite="skip", max_steps=6, epochs=1)
    assert trainer.fit().skipped_steps == 2
    weights = list(module.state_dict())
    assert all(torch.equal(seen[0][name], seen[1][name]) for name in weights)
    assert all(not value.any() for name, value in seen[1].items() if name not in weights)  # moments, step counters
    assert all(torch.equal(seen[3][name], seen[4][name]) for name in seen[3])
    for before, after in ((1, 2), (2, 3), (4, 5)):
        assert not any(torch.equal(seen[before][name], seen[after][name]) for name in seen[after])


@pytest.mark.parametrize("how", ["stop", "skip"])
def test_nothing_is_poisoned_until_the_host_looks(make_trainer: Make, collate: Collate, how: str) -> None:
    states: list[dict[str, Tensor]] = []
    poisoned = poison(collate, 2, 3)

    def keep(indices: Any) -> Batch:
        states.append(everything(module, trainer))
        return poisoned(indices)

    module, trainer = make_trainer(collate=keep, on_nonfinite=how, max_steps=8, epochs=1, log_every=7)
    if how == "stop":
        with pytest.raises(HeadstockError, match=r"not finite at step 2;.*trainer.on_nonfinite=skip"):
            trainer.fit()
    else:
        trainer.fit()
    parameters = {name for name, _ in module.named_parameters()}
    assert len(states) == {"stop": 7, "skip": 8}[how]
    for state in states:
        for name, value in state.items():
            if how == "skip" or name in parameters or name[0].isdigit():
                assert value.isfinite().all(), name


def test_skipped_steps_are_counted_and_leave_the_loss_alone(
    make_trainer: Make, collate: Collate, tmp_path: Path
) -> None:
    make_trainer("sound", max_steps=10, log_every=5, epochs=1)[1].fit()
    options = {"on_nonfinite": "skip", "max_steps": 15, "log_every": 5, "epochs": 2}
    _, trainer = make_trainer("skipping", collate=poison(collate, 3, 4, 11, 12, 13, 14, 15), **options)
    result = trainer.fit()
    assert (result.steps, result.skipped_steps) == (15, 7)
    first, second, third = records(tmp_path / "skipping")
    assert [record["skipped_steps"] for record in (first, second, third)] == [2, 2, 7]
    assert first["loss"] == pytest.approx(records(tmp_path / "sound")[0]["loss"], rel=0.5)
    assert (third["loss"], third["grad_norm"]) == (None, None)
    assert "skipped_steps" not in records(tmp_path / "sound")[0]


def test_a_loss_that_is_not_finite_is_skipped_though_its_gradient_is(make_trainer: Make, collate: Collate) -> None:
    def infinite(indices: Any) -> Batch:
        batch = collate(indices)
        return Batch(batch.inputs, {"y": batch.targets["y"] * 1e25}, batch.size)  # the square overflows

    module, trainer = make_trainer(collate=infinite, on_nonfinite="skip", max_steps=3, epochs=1)
    before = everything(module, trainer)
    assert trainer.fit().skipped_steps == 3
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_too_many_in_a_row_end_the_run(make_trainer: Make, collate: Collate) -> None:
    options: dict[str, Any] = {"on_nonfinite": "skip", "log_every": 7, "evaluate_every": 1000, "epochs": 50}
    _, trainer = make_trainer(collate=poison(collate, *range(12, 500)), checkpoint_every=10, **options)
    with pytest.raises(HeadstockError, match=r"not finite in \d+ steps in a row; the last good checkpoint \(step \d+"):
        trainer.fit()
    scattered = [number for number in range(1, 301) if number % 100]
    assert MOST_SKIPPED_IN_A_ROW == 100
    _, trainer = make_trainer("scattered", collate=poison(collate, *scattered), max_steps=300, **options)
    assert trainer.fit().skipped_steps == len(scattered)


@pytest.mark.parametrize("stops", [(3, 14), (4, 5, 13, 14, 19)])
def test_a_resumed_run_skips_as_an_uninterrupted_one(
    make_trainer: Make, collate: Collate, tmp_path: Path, stops: tuple[int, ...]
) -> None:
    def poisoned(indices: Any) -> Batch:
        batch = collate(indices)
        # By its examples, so that each session poisons the same batches.
        if int(indices.sum()) % 3 == 0:
            batch = Batch({"x": batch.inputs["x"] * float("inf")}, batch.targets, batch.size)
        return batch

    options = {"on_nonfinite": "skip", "log_every": 4, "epochs": 3}
    straight, trainer = make_trainer("straight", collate=poisoned, **options)
    expected = trainer.fit()
    assert 5 < expected.skipped_steps < 25
    call = 0

    def stopping(indices: Any) -> Batch:
        nonlocal call
        call += 1
        if call in stops:
            os.kill(os.getpid(), signal.SIGTERM)
        return poisoned(indices)

    for _ in stops:
        _, trainer = make_trainer("resumed", collate=stopping, **options)
        trainer.resume()
        with pytest.raises(InterruptedRunError):
            trainer.fit()
    resumed, trainer = make_trainer("resumed", collate=poisoned, **options)
    trainer.resume()
    assert trainer.fit().skipped_steps == expected.skipped_steps
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in straight.state_dict().items())
    logs = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("straight", "resumed")]
    assert logs[0] == logs[1]


def test_a_streak_continues_after_a_resume(make_trainer: Make, collate: Collate) -> None:
    calls = 0

    def bad(indices: Any) -> Batch:
        nonlocal calls
        calls += 1
        if calls == 60:
            os.kill(os.getpid(), signal.SIGTERM)
        batch = collate(indices)
        return Batch({"x": batch.inputs["x"] * float("nan")}, batch.targets, batch.size)

    options: dict[str, Any] = {"on_nonfinite": "skip", "epochs": 50, "validate": lambda _: {"loss": 1.0}}
    _, trainer = make_trainer(collate=bad, patience=None, **options)
    with pytest.raises(InterruptedRunError):
        trainer.fit()
    _, trainer = make_trainer(collate=bad, patience=None, **options)
    trainer.resume()
    with pytest.raises(HeadstockError, match="not finite in 100 steps in a row"):
        trainer.fit()
    assert calls == 100
