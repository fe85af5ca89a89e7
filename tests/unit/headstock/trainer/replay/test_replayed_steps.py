"""Which steps are replayed, with a capturer that does the work again in place of a GPU's graphs."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, count, repeat
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from headstock.interfaces import Batch, Loss, StepOutput
from headstock.trainer.replay import replayed_steps
from headstock.trainer.replay.cuda_graphs import WaitsError
from headstock.trainer.replay.replayed_steps import CHECKED, ReplayedSteps
from headstock.trainer.step.gradient import Gradient
from headstock.trainer.step.out_of_memory import CostLimit, MemoryRelief
from headstock.trainer.step.update import OptimizerStep
from headstock.trainer.trainer import Trainer, TrainerParts

Make = Callable[..., tuple[nn.Module, Trainer]]


class Again:
    """Captures by remembering the work: what it does while it is captured is taken back."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._model, self._optimizer = model, optimizer
        self.recovered = 0
        self.steps: ReplayedSteps | None = None

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        optimizer = self._optimizer
        tensors = [*self._model.parameters(), *self._model.buffers()]
        tensors += [value for state in optimizer.state.values() for value in state.values()]
        before = [tensor.detach().clone() for tensor in tensors]
        known = set(optimizer.state)
        work()
        with torch.no_grad():
            for tensor, value in zip(tensors, before, strict=True):
                tensor.copy_(value)
            for parameter in set(optimizer.state) - known:  # memory that nothing was written to
                for value in optimizer.state[parameter].values():
                    value.fill_(torch.nan)
        return work

    @contextmanager
    def warmup(self) -> Iterator[None]:
        yield

    def wait(self) -> None:
        pass

    def recover(self) -> None:
        self.recovered += 1


class Net(nn.Module):
    """Least squares with dropout and a batch norm."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 1))
        self.register_buffer("mean", torch.zeros(4))
        self.extra, self.uses_extra = nn.Parameter(torch.ones(())), False
        self.disturb: Callable[[], None] = lambda: None

    def forward(self, batch: Batch) -> StepOutput:
        self.disturb()
        predicted = self.layers(batch.inputs["x"])[:, 0]
        if self.uses_extra:
            predicted = predicted * self.extra
        total = (predicted - batch.targets["y"]).square().sum()
        return StepOutput({"y": predicted}, Loss(total, torch.tensor(float(batch.size))))


Fit = Callable[..., tuple[dict[str, Tensor], ReplayedSteps, Again, list[str]]]


@pytest.fixture
def fit(make_trainer: Make, collate: Callable[[Any], Batch]) -> Fit:
    """Train with replayed steps; return weights, what took the steps, the capturer and what was said."""
    runs = 0

    def run(model: Net | None = None, **options: Any) -> tuple[dict[str, Tensor], ReplayedSteps, Again, list[str]]:
        nonlocal runs
        runs += 1
        said: list[str] = []
        made: list[tuple[ReplayedSteps, Again]] = []

        def replaying(module: nn.Module, parts: TrainerParts) -> TrainerParts:
            assert isinstance(parts.gradient, Gradient)
            capturer, relief = Again(module, parts.optimizer), MemoryRelief()
            limit = CostLimit(np.ones(100, dtype=np.int64), str, "", relief)
            gradient = Gradient(module, collate, limit, parts.config, 3, torch.device("cpu"))
            step = OptimizerStep(gradient, parts.optimizer, parts.parameters, parts.config)
            steps = ReplayedSteps(module, gradient, step, parts.parameters, 3, capturer, said.append, relief)
            capturer.steps = steps
            made.append((steps, capturer))
            return replace(parts, limit=limit, gradient=gradient, step=step, replay=steps)

        # 100 rows in batches of 8: the last batch of an epoch is another shape.
        options = {"batch_size": 8, "epochs": 6, **options}
        module, trainer = make_trainer(f"replayed{runs}", model or Net(), exchange=replaying, **options)
        ((steps, capturer),) = made
        # The masks that training on the CPU takes are drawn on the host, as is all that is random there.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(replayed_steps, "_host_state", lambda: (random.getstate(),))
            trainer.fit()
        return {name: value.clone() for name, value in module.state_dict().items()}, steps, capturer, said

    return run


@pytest.fixture
def eager(make_trainer: Make) -> dict[str, Tensor]:
    module, trainer = make_trainer("eager", Net(), batch_size=8, epochs=6)
    trainer.fit()
    return {name: value.clone() for name, value in module.state_dict().items()}


def assert_same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_replayed_steps_give_the_weights_of_eager_ones(fit: Fit, eager: dict[str, Tensor]) -> None:
    found, steps, capturer, said = fit()
    assert (steps.captured, steps.replayed, capturer.recovered, said) == (2, 6 * 13 - 1, 0, [])
    assert_same(found, eager)


def test_accumulated_steps_are_eager(fit: Fit) -> None:
    _, steps, _, said = fit(gradient_accumulation_steps=13)
    assert (steps.replayed, said) == (0, [])


def test_a_step_that_draws_on_the_host_is_eager(fit: Fit) -> None:
    model = Net()
    model.disturb = lambda: random.seed(random.random())
    _, steps, capturer, said = fit(model)
    assert (steps.captured, capturer.recovered, len(said)) == (0, 1, 1)
    assert "random numbers on the host" in said[0]


def test_a_step_that_replaces_buffers_is_eager(fit: Fit) -> None:
    model = Net()

    def exchange() -> None:
        model.mean = model.mean.clone()

    model.disturb = exchange
    _, steps, _, said = fit(model)
    assert steps.captured == 0
    assert "new tensors" in said[0]


def test_buffers_that_a_validation_replaces_are_noticed(fit: Fit) -> None:
    def validate(model: nn.Module) -> dict[str, float]:
        model.mean = torch.zeros(4)
        return {"loss": 1.0}

    _, steps, _, said = fit(validate=validate)
    assert steps.replayed == 12  # those of the first epoch, but for its first step
    assert "new tensors" in said[0]


@pytest.mark.parametrize("draw", [lambda: torch.rand(()), random.random, np.random.rand])
def test_what_draws_on_the_host_is_seen(draw: Callable[[], object]) -> None:
    before = replayed_steps._host_state()
    assert before == replayed_steps._host_state()
    draw()
    assert before != replayed_steps._host_state()


def test_a_step_that_waits_is_eager(fit: Fit, eager: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def waits(self: Again) -> Iterator[None]:
        yield
        raise WaitsError("called a synchronizing CUDA operation")

    monkeypatch.setattr(Again, "warmup", waits)
    found, steps, _, said = fit()
    assert steps.captured == 0
    assert "waits for the GPU" in said[0]
    assert_same(found, eager)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (RuntimeError("operation not permitted when stream is capturing"), "cannot be captured"),
        (torch.OutOfMemoryError("CUDA out of memory"), "memory ran out"),
    ],
)
def test_a_capture_that_breaks_off_changes_nothing(
    fit: Fit, eager: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch, error: Exception, line: str
) -> None:
    def breaks(self: Again, work: Callable[[], None]) -> Callable[[], None]:
        raise error

    monkeypatch.setattr(Again, "capture", breaks)
    found, steps, capturer, said = fit()
    assert (steps.replayed, capturer.recovered, len(said)) == (0, 1, 1)
    assert line in said[0]
    assert_same(found, eager)


@pytest.mark.parametrize("shapes", [1, 2, 5])
def test_replays_that_differ_are_found_out(fit: Fit, monkeypatch: pytest.MonkeyPatch, shapes: int) -> None:
    capture = Again.capture

    def stale(self: Again, work: Callable[[], None]) -> Callable[[], None]:
        """Replay with the loss of the captured batch: as if something of it had been kept on the host."""
        done = capture(self, work)
        kept: list[Tensor] = []

        def replay() -> None:
            done()
            assert self.steps is not None
            kept.append(self.steps.outcome.total.clone())
            self.steps.outcome.total.copy_(kept[0])

        return replay

    calls = count()
    monkeypatch.setattr(Again, "capture", stale)
    monkeypatch.setattr(replayed_steps, "_shape", lambda batch: (next(calls) % shapes,))
    _, steps, _, said = fit(batch_size=10)
    assert steps.replayed <= shapes
    assert "differs" in said[0]


def test_a_step_that_trains_other_parameters_is_eager(make_trainer: Make, fit: Fit) -> None:
    def later() -> Net:
        model, calls = Net(), count(1)
        # From the second call on; replayed steps are called more often, and are alike in this.
        model.disturb = lambda: setattr(model, "uses_extra", next(calls) > 1)
        return model

    module, trainer = make_trainer("eager", later(), batch_size=8, epochs=6)
    trainer.fit()
    found, steps, _, said = fit(later())
    assert steps.replayed == 0
    assert "other parameters" in said[0]
    assert_same(dict(module.state_dict()), found)


def test_memory_that_runs_out_takes_captures_before_batches(fit: Fit, eager: dict[str, Tensor]) -> None:
    model = Net()
    fails: list[bool] = []
    original = ReplayedSteps.try_replay

    def full() -> None:
        if fails:
            fails.clear()
            raise torch.OutOfMemoryError("CUDA out of memory")

    def eager_once(self: ReplayedSteps, *arguments: Any) -> Any:
        if self.replayed == 20 and not self._off:
            fails.append(True)
            return None
        return original(self, *arguments)

    model.disturb = full
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ReplayedSteps, "try_replay", eager_once)
        found, steps, _, said = fit(model)
    assert steps.replayed == 20
    assert said == ["trainer.cuda_graphs: steps are eager from now on: memory ran out"]
    assert steps._gradient.limit.value is None
    assert_same(found, eager)


@pytest.mark.parametrize("call", [2, 3, 5, 8])  # the rehearsal, the capture, and twice what is compared with a replay
def test_memory_that_runs_out_over_capturing_or_checking_changes_nothing(
    fit: Fit, eager: dict[str, Tensor], call: int
) -> None:
    calls = count(1)

    def full() -> None:
        if next(calls) == call:
            raise torch.OutOfMemoryError("CUDA out of memory")

    model = Net()
    model.disturb = full
    found, steps, capturer, said = fit(model)
    assert (steps.replayed < CHECKED, capturer.recovered, len(said)) == (True, 1, 1)
    assert steps._gradient.limit.value is None
    assert_same(found, eager)


def test_shapes_that_do_not_come_again_are_captured_no_more(
    fit: Fit, eager: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count()
    monkeypatch.setattr(replayed_steps, "TRIED", 3)
    monkeypatch.setattr(replayed_steps, "_shape", lambda batch: (next(calls),))
    found, steps, _, said = fit()
    assert (steps.captured, steps.replayed, said) == (3, 3, [])
    assert_same(found, eager)


def test_shapes_that_come_again_after_that_are_captured(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count()
    monkeypatch.setattr(replayed_steps, "TRIED", 3)
    monkeypatch.setattr(replayed_steps, "_shape", lambda batch: (next(calls) % 39,))
    _, steps, _, _ = fit()  # 78 steps: each shape twice
    assert (steps.captured, steps.replayed) == (39, 3 + 39)


def test_the_capture_that_was_used_longest_ago_goes(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    names = chain("abcbd", repeat("b"))
    monkeypatch.setattr(replayed_steps, "MOST", 2)
    monkeypatch.setattr(replayed_steps, "_shape", lambda batch: (next(names),))
    monkeypatch.setattr(ReplayedSteps, "close", lambda self: None)
    _, steps, _, said = fit(batch_size=10)  # batches of one size, whatever they are called
    assert (steps.captured, said) == (3, [])
    assert [shape for (shape,) in steps._captures] == ["d", "b"]
