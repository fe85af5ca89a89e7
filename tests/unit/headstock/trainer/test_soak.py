"""Steps of 2,000 tiny runs in one process: memory, tensors and open files stay what they were."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from headstock.interfaces import Batch, Loss, StepOutput
from headstock.trainer.trainer import Trainer

Make = Callable[..., tuple[nn.Module, Trainer]]
FITS, STEPS, WARM_UP = 50, 200, 10
"""Together 10,000 steps: 2,000 runs of five."""
MEBIBYTES = 8
"""Steady memory still moves by what the allocator keeps. A leak of one batch a step would be many times that."""


class Line(nn.Module):
    """Least squares in a memory for ``room`` examples, with data that is not always finite."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1)
        self.room, self.calls = room, 0

    def forward(self, batch: Batch) -> StepOutput:
        if batch.size > self.room and self.training:
            raise torch.OutOfMemoryError
        self.calls += 1
        x = batch.inputs["x"] * (float("nan") if self.calls % 50 == 0 and self.training else 1.0)
        total = (self.layer(x)[:, 0] - batch.targets["y"]).square().sum()
        return StepOutput({}, Loss(total, torch.tensor(float(batch.size))))


class Held(NamedTuple):
    """What a process holds."""

    mebibytes: float
    tensors: int
    files: int


def held() -> Held:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    tensors = sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())
    return Held(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, tensors, len(os.listdir("/proc/self/fd")))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_memory_and_open_files_are_steady(make_trainer: Make, tmp_path: Path) -> None:
    options: dict[str, Any] = {"on_nonfinite": "skip", "epochs": STEPS, "max_steps": STEPS, "evaluate_every": 100}
    options |= {"batch_size": 20, "log_every": 20, "checkpoint_every": 100}
    start = held()
    for number in range(FITS):
        if number == WARM_UP:
            start = held()
        tight = number % 5 == 0
        _, trainer = make_trainer(model=Line(15 if tight else 100), **options)
        result = trainer.fit()
        assert (result.steps, result.cost_limit) == (STEPS, 10 if tight else None)
        assert result.skipped_steps > 0
        del trainer
        shutil.rmtree(tmp_path / "run")
    end = held()
    assert (end.tensors, end.files) == (start.tensors, start.files)
    assert end.mebibytes - start.mebibytes < MEBIBYTES


def test_what_a_training_keeps_out_of_garbage_collections_is_given_back(make_trainer: Make) -> None:
    gc.unfreeze()
    try:
        make_trainer(max_steps=1)[1].fit()
        assert gc.get_freeze_count() == 0
    finally:
        gc.freeze()
    make_trainer(max_steps=1)[1].fit()
    assert gc.get_freeze_count() > 0, "what others have frozen was thawed"
