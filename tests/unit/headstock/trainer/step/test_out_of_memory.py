"""Memory that runs out over a batch: the batch is cut, the gradient stays, and what was learnt is kept."""

from __future__ import annotations

import io
import os
import signal
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from headstock.console import Console
from headstock.interfaces import Batch, Loss, StepOutput
from headstock.trainer.progress.stop_signal import InterruptedRunError
from headstock.trainer.step.adamw import AdamW
from headstock.trainer.step.out_of_memory import CostLimit, DoesNotFitError
from headstock.trainer.trainer import Trainer
from headstock_registry import HeadstockError

Make = Callable[..., tuple[nn.Module, Trainer]]
Collate = Callable[[Any], Batch]

ERRORS: list[Callable[[], Exception]] = [
    lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    lambda: RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried"),
    MemoryError,
]


class Room(nn.Module):
    """Least squares in a memory that takes ``room`` examples; it runs out where ``where`` says.

    With ``noise`` it has dropout. ``sizes`` are the batches that went through, ``failures`` those that did not.
    """

    def __init__(self, room: int, where: str = "forward", error: Callable[[], Exception] = ERRORS[0]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm, self.last = nn.Linear(4, 8), nn.BatchNorm1d(8, affine=False), nn.Linear(8, 1)
        self.norm.momentum = None  # a plain mean, which forgets no batch
        self.noise = nn.Dropout(0.0)
        self.room, self.where, self.error = room, where, error
        self.sizes: list[int] = []
        self.failures: list[int] = []
        self.held: list[weakref.ref[Tensor]] = []

    def forward(self, batch: Batch) -> StepOutput:
        assert not any(reference() is not None for reference in self.held), "the failed batch is still in memory"
        hidden = torch.relu(self.first(batch.inputs["x"]))
        with torch.no_grad():
            # It keeps a running mean, and has no part in the loss.
            self.norm(hidden if batch.size > 1 else hidden.repeat(2, 1))
        full = self.training and batch.size > self.room
        if full:
            self.held = [weakref.ref(hidden), weakref.ref(batch.inputs["x"])]
            if self.where == "forward":
                self.fail(batch.size)
            # The last layer's gradient is added before memory runs out.
            hidden.register_hook(lambda _: self.fail(batch.size))
        elif self.training:
            self.sizes.append(batch.size)
        predicted = self.last(self.noise(hidden))[:, 0]
        total = (predicted - batch.targets["y"]).square().sum()
        return StepOutput({"y": predicted}, Loss(total, torch.tensor(float(batch.size))))

    def fail(self, size: int) -> None:
        self.failures.append(size)
        raise self.error()


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("where", ["forward", "backward"])
def test_a_cut_batch_gives_the_same_gradient(make_trainer: Make, where: str, error: Callable[[], Exception]) -> None:
    options = {"gradient_accumulation_steps": 2, "epochs": 2, "batch_size": 20}
    roomy, trainer = make_trainer("roomy", Room(1000), **options)
    assert trainer.fit().cost_limit is None
    tight, trainer = make_trainer("tight", Room(6, where, error), **options)
    assert trainer.fit().cost_limit == 5
    for name, value in roomy.named_parameters():
        torch.testing.assert_close(tight.get_parameter(name), value, rtol=1e-4, atol=1e-6)
    assert isinstance(tight, Room)
    assert tight.failures == [20, 10]  # then it has learnt
    assert set(tight.sizes) == {5}
    assert sum(tight.sizes) == 200
    # What a failed pass did to the buffers does not count.
    assert isinstance(roomy, Room)
    assert roomy.norm.running_mean is not None
    torch.testing.assert_close(tight.norm.running_mean, roomy.norm.running_mean, rtol=0.05, atol=0.01)


def test_buffers_forget_the_pass_that_failed(make_trainer: Make) -> None:
    model, trainer = make_trainer(model=Room(6, "backward"), batch_size=20, epochs=1)
    trainer.fit()
    assert isinstance(model, Room)
    assert model.norm.num_batches_tracked == len(model.sizes) == 20


def test_a_change_is_said_once(make_trainer: Make) -> None:
    screen = io.StringIO()
    _, trainer = make_trainer(model=Room(6), batch_size=20, epochs=3, console=Console(stream=screen))
    trainer.fit()
    lines = [line for line in screen.getvalue().splitlines() if "memory" in line]
    assert lines == [
        "warning: memory ran out at step 1; batches of a cost above 5 are done in pieces from now on, "
        "with the same gradient"
    ]


def test_an_example_that_does_not_fit_alone_is_named(make_trainer: Make, collate: Collate) -> None:
    def marked(indices: Any) -> Batch:
        batch = collate(indices)
        huge = torch.tensor([index == 41 for index in indices.tolist()])
        return Batch({**batch.inputs, "huge": huge}, batch.targets, batch.size)

    class Huge(Room):
        def forward(self, batch: Batch) -> StepOutput:
            if self.training and bool(batch.inputs["huge"].any()):
                self.fail(batch.size)
            return super().forward(batch)

    _, trainer = make_trainer(model=Huge(1000), collate=marked)
    with pytest.raises(DoesNotFitError, match=r"^data.csv row 42 does not fit into memory.*trainer.gradient_check"):
        trainer.fit()


def test_memory_that_runs_out_over_the_optimizer_is_said(make_trainer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **options: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(AdamW, "step", full)
    _, trainer = make_trainer()
    with pytest.raises(HeadstockError, match=r"^memory ran out over the optimizer's state; it needs room"):
        trainer.fit()


def test_another_error_is_not_taken_for_memory(make_trainer: Make) -> None:
    _, trainer = make_trainer(model=Room(6, error=lambda: RuntimeError("shapes do not match")))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        trainer.fit()


def test_what_was_learnt_is_known_after_a_resume(make_trainer: Make, collate: Collate) -> None:
    class Once(Room):
        """Memory that runs out once, because of some other program."""

        def forward(self, batch: Batch) -> StepOutput:
            self.noise.p = 0.5
            self.room = 4 if not self.failures and self.seen == 6 else 1000
            self.seen += self.training
            return super().forward(batch)

        seen = 0

    options: dict[str, Any] = {"gradient_accumulation_steps": 2, "epochs": 3}
    straight, trainer = make_trainer("straight", Once(1000), **options)
    expected = trainer.fit()
    assert expected.cost_limit == 5
    calls = 0

    def stopping(indices: Any) -> Batch:
        nonlocal calls
        calls += 1
        if calls in {3, 14}:
            os.kill(os.getpid(), signal.SIGTERM)
        return collate(indices)

    model = Once(1000)
    for _ in range(2):
        _, trainer = make_trainer("resumed", model, collate=stopping, **options)
        trainer.resume()
        with pytest.raises(InterruptedRunError):
            trainer.fit()
    assert model.failures == [10]
    resumed, trainer = make_trainer("resumed", model, **options)
    trainer.resume()
    assert trainer.fit().cost_limit == 5
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in straight.state_dict().items())


def test_pieces_have_random_numbers_of_their_own(make_trainer: Make) -> None:
    class Recording(Room):
        def forward(self, batch: Batch) -> StepOutput:
            if self.training and batch.size <= self.room:
                draws.append(float(torch.rand(())))
            return super().forward(batch)

    draws: list[float] = []
    for folder in ("one", "two"):
        make_trainer(folder, Recording(5), batch_size=20, epochs=2)[1].fit()
    first, second = draws[: len(draws) // 2], draws[len(draws) // 2 :]
    assert first == second
    assert len(set(first)) == len(first) == 40


def test_pieces_are_within_the_limit_and_keep_their_order() -> None:
    costs = np.array([1, 2, 3, 4, 5, 6, 50, 0])
    limit = CostLimit(costs, lambda number: f"row {number}", "")
    batch = np.arange(6)
    assert [piece.tolist() for piece in limit.cut(batch)] == [batch.tolist()]
    limit.lower(batch)
    assert limit.value == 18
    assert [piece.tolist() for piece in limit.cut(batch)] == [[0, 1, 2], [3, 4, 5]]
    assert [piece.tolist() for piece in limit.cut(np.array([6, 7]))] == [[6], [7]]  # alone, whatever it costs
    limit.lower(limit.cut(batch)[-1])
    assert limit.value == 12
    assert [piece.tolist() for piece in limit.cut(batch)] == [[0, 1, 2], [3, 4], [5]]
    with pytest.raises(DoesNotFitError, match="row 6 does not fit"):
        limit.lower(np.array([6]))
