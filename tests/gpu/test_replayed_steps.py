"""Replayed steps give what eager ones give, or are not replayed and say why."""

from __future__ import annotations

import gc
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from headstock.console import Console
from headstock.interfaces import Batch, Loss, StepOutput
from headstock.trainer.assembly import build_trainer
from headstock.trainer.config import TrainerConfig
from headstock.trainer.plan.batches import BatchPlan
from headstock.trainer.progress.stop_signal import InterruptedRunError
from headstock.trainer.progress.training_log import NoLog
from headstock.trainer.replay.replayed_steps import CHECKED, ReplayedSteps
from headstock.trainer.state.checkpoints import CheckpointFolder
from headstock.trainer.step.optimizer import ParameterGroup
from headstock.trainer.step.transfer import Transfer
from headstock.trainer.trainer import Surroundings, Trainer

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]

EXAMPLES = 256
SIZES = np.arange(EXAMPLES) % 4 * 8 + 8
"""Lengths of the examples: four of them."""

X = torch.randn(EXAMPLES, 32, 16, generator=torch.Generator().manual_seed(1))


class Pooled(nn.Module):
    """Dropout, a batch norm, the mean over the real part of each example; ``forward`` may be disturbed."""

    def __init__(self, disturb: Callable[[Pooled, Tensor], Tensor] | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 64))
        self.norm = nn.BatchNorm1d(64)
        self.head = nn.Linear(64, 1)
        self.disturb = disturb
        self.register_buffer("mean", torch.zeros(64))

    def forward(self, batch: Batch) -> StepOutput:
        states = self.norm(self.layers(batch.inputs["x"]).mean(dim=1))
        if self.disturb is not None and self.training:
            states = self.disturb(self, states)
        predicted = self.head(states)[:, 0]
        total = (predicted.float() - batch.targets["y"]).square().sum()
        return StepOutput({"y": predicted}, Loss(total, total.new_full((), float(batch.size))))


class Lines(Console):
    """Keeps what is said of captures."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        if text.startswith("trainer.cuda_graphs"):
            self.lines.append(text)


Fit = Callable[..., tuple[dict[str, Tensor], Trainer, list[str]]]


@pytest.fixture
def fit(tmp_path: Path) -> Fit:
    """Train on the GPU; return the weights, the trainer and what was said."""
    device = torch.device("cuda", 0)
    transfer = Transfer(device)
    runs = 0
    stops: list[int] = []  # at how many batches from now SIGTERM comes

    def collate(indices: Any) -> Batch:
        if stops:
            stops[0] -= 1
            if stops[0] == 0:
                stops.clear()
                os.kill(os.getpid(), signal.SIGTERM)
        length = int(SIZES[indices].max())
        rows = X[indices, :length]
        return transfer(Batch({"x": rows}, {"y": rows.sum(dim=(1, 2))}, len(indices)))

    def run(
        model: nn.Module | None = None, stop: int | None = None, again: bool = False, **options: Any
    ) -> tuple[dict[str, Tensor], Trainer, list[str]]:
        nonlocal runs
        runs += not again
        stops[:] = [] if stop is None else [stop]
        module = (model or Pooled()).to(device)
        settings = {"batch_size": 16, "epochs": 4, "precision": "fp32", "log_every": 1000, "checkpoint_every": 1000}
        config = TrainerConfig(**{**settings, **options})
        console = Lines()
        trainer = build_trainer(
            module,
            [ParameterGroup(list(module.parameters()), 0.01)],
            BatchPlan(SIZES, config.batch_size, config.batch_cost, seed=3),
            collate,
            config,
            3,
            ("loss", "lower"),
            Surroundings(
                validate=lambda: {"loss": 1.0},
                checkpoints=CheckpointFolder(tmp_path / f"run{runs}" / "checkpoints"),
                log=lambda keep: NoLog(),
                console=console,
                resume_hint="",
                name_example=str,
            ),
        )
        (tmp_path / f"run{runs}").mkdir(exist_ok=True)
        before: list[dict[str, Tensor]] = []
        if again:
            trainer.resume()
        original = trainer.parts.state.load_best  # those of the first epoch; the last ones are compared

        def last(step: int) -> None:
            before.append({name: value.clone() for name, value in module.state_dict().items()})
            original(step)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trainer.parts.state, "load_best", last)
            trainer.fit()
        return before[-1], trainer, console.lines

    torch.backends.cuda.matmul.allow_tf32 = False
    return run


def replayed(trainer: Trainer) -> int:
    assert isinstance(trainer.parts.replay, ReplayedSteps)
    return trainer.parts.replay.replayed


@pytest.mark.parametrize("options", [{}, {"precision": "bf16"}, {"on_nonfinite": "skip"}, {"max_grad_norm": None}])
def test_replayed_steps_give_the_weights_of_eager_ones(fit: Fit, options: dict[str, Any]) -> None:
    expected, plain, _ = fit(cuda_graphs=False, **options)
    found, trainer, said = fit(**options)
    assert plain.parts.replay is None
    assert said == []
    assert replayed(trainer) > 30
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_gradient_accumulation_is_eager(fit: Fit) -> None:
    expected, _, _ = fit(cuda_graphs=False, gradient_accumulation_steps=3)
    found, trainer, _ = fit(gradient_accumulation_steps=3)
    assert replayed(trainer) <= 4  # what remains at the end of an epoch is one batch
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_a_resumed_run_ends_with_the_weights_of_a_straight_one(fit: Fit) -> None:
    expected, _, _ = fit(log_every=3)
    with pytest.raises(InterruptedRunError):
        fit(log_every=3, stop=23)
    with pytest.raises(InterruptedRunError):
        fit(log_every=3, stop=11, again=True)
    found, trainer, _ = fit(log_every=3, again=True)
    assert replayed(trainer) > 10
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5, msg=name)


def asks_the_device(model: Pooled, states: Tensor) -> Tensor:
    return states * float(states.detach().abs().max() > 0)


def draws_on_the_host(model: Pooled, states: Tensor) -> Tensor:
    return states * (1 + random.random() / 1000)


def draws_with_torch_on_the_host(model: Pooled, states: Tensor) -> Tensor:
    return states * (1 + torch.rand(()).item() / 1000)


def replaces_a_buffer(model: Pooled, states: Tensor) -> Tensor:
    model.mean = states.detach().mean(dim=0)
    return states


@pytest.mark.parametrize(
    ("disturb", "said"),
    [
        (asks_the_device, "waits for the GPU"),
        (draws_on_the_host, "random numbers on the host"),
        (draws_with_torch_on_the_host, "random numbers on the host"),
        (replaces_a_buffer, "new tensors"),
    ],
)
def test_what_cannot_be_replayed_is_eager(fit: Fit, disturb: Callable[[Pooled, Tensor], Tensor], said: str) -> None:
    _, trainer, lines = fit(Pooled(disturb))
    assert replayed(trainer) == 0
    assert len(lines) == 1
    assert said in lines[0]


def test_a_capture_that_breaks_off_leaves_training_as_it_was(fit: Fit) -> None:
    def synchronizes(model: Pooled, states: Tensor) -> Tensor:
        torch.cuda.synchronize()  # an error during a capture, and not seen before that
        return states

    expected, _, _ = fit(Pooled(synchronizes), cuda_graphs=False, epochs=8)
    torch.cuda.empty_cache()
    reserved = torch.cuda.memory_reserved()
    found, trainer, lines = fit(Pooled(synchronizes), epochs=8)
    assert replayed(trainer) == 0
    assert "cannot be captured" in lines[0]
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5, msg=name)
    del trainer
    gc.collect()
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() < reserved + 2**26  # nothing is held up for good


def test_a_replay_that_would_differ_is_found_out(fit: Fit) -> None:
    class Counting(Pooled):
        """Gives something else at each call, which no check of the host's state shows."""

        calls = 0

        def forward(self, batch: Batch) -> StepOutput:
            self.calls += 1
            output = super().forward(batch)
            assert output.loss is not None
            return StepOutput(output.outputs, Loss(output.loss.total * (1 + self.calls % 7), output.loss.count))

    _, trainer, lines = fit(Counting())
    assert "differs" in lines[0]
    assert replayed(trainer) < CHECKED


def test_memory_that_runs_out_lets_go_of_captures_before_batches_are_cut(fit: Fit) -> None:
    class Full(Pooled):
        fails = False

        def forward(self, batch: Batch) -> StepOutput:
            if self.fails:
                self.fails = False
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
            return super().forward(batch)

    model, original, calls = Full(), ReplayedSteps.try_replay, 0

    def eager_once(self: ReplayedSteps, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls != 40:
            return original(self, *arguments)
        model.fails = True
        return None

    expected, _, _ = fit(cuda_graphs=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ReplayedSteps, "try_replay", eager_once)
        found, trainer, lines = fit(model)
    assert len(lines) == 1
    assert "memory ran out" in lines[0]
    assert 0 < replayed(trainer) < 40
    assert trainer.parts.limit.value is None
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_nothing_waits_for_the_gpu_between_logged_steps(fit: Fit) -> None:
    original = ReplayedSteps.try_replay
    calls = 0

    def strict(self: ReplayedSteps, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if self._to_check or calls < 40:  # every shape has been captured by then
            return original(self, *arguments)
        torch.cuda.set_sync_debug_mode("error")
        try:
            return original(self, *arguments)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ReplayedSteps, "try_replay", strict)
        _, trainer, said = fit(epochs=8)
    assert said == []
    assert calls > 80
    assert replayed(trainer) > 70
