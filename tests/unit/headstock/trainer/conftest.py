from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from headstock.console import Console
from headstock.interfaces import Batch, Loss, StepOutput
from headstock.trainer.assembly import build_parts
from headstock.trainer.config import TrainerConfig
from headstock.trainer.plan.batches import BatchPlan
from headstock.trainer.progress.training_log import TrainingLog
from headstock.trainer.state.checkpoints import CheckpointFolder
from headstock.trainer.step.optimizer import ParameterGroup
from headstock.trainer.trainer import Surroundings, Trainer, TrainerParts


class Regression(nn.Module):
    """Least squares with dropout, so that random state matters, and a buffer that training changes."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 1))

    def forward(self, batch: Batch) -> StepOutput:
        predicted = self.layers(batch.inputs["x"])[:, 0]
        total = (predicted - batch.targets["y"]).square().sum()
        return StepOutput({"y": predicted}, Loss(total, torch.tensor(float(batch.size))))


X = torch.randn(100, 4, generator=torch.Generator().manual_seed(1))
Y = X @ torch.tensor([1.0, -2.0, 0.5, 0.0])


def collate_rows(indices: Any) -> Batch:
    return Batch({"x": X[indices]}, {"y": Y[indices]}, len(indices))


@pytest.fixture(autouse=True)
def no_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the trainer from trying whether one thread is enough: some models here count how often they are called."""
    monkeypatch.setenv("OMP_NUM_THREADS", str(torch.get_num_threads()))


@pytest.fixture
def collate() -> Callable[[Any], Batch]:
    return collate_rows


@pytest.fixture
def make_trainer(tmp_path: Path) -> Callable[..., tuple[nn.Module, Trainer]]:
    """Make a trainer; ``exchange`` may give it other parts."""

    def make(
        folder: str = "run",
        model: nn.Module | None = None,
        validate: Callable[[nn.Module], dict[str, float]] | None = None,
        collate: Callable[[Any], Batch] = collate_rows,
        console: Console | None = None,
        exchange: Callable[[nn.Module, TrainerParts], TrainerParts] | None = None,
        validates_first: bool = False,
        **options: Any,
    ) -> tuple[nn.Module, Trainer]:
        module = model or Regression()
        path = tmp_path / folder
        path.mkdir(exist_ok=True)
        config = TrainerConfig(**{"batch_size": 10, "learning_rate": 0.05, "epochs": 4, "device": "cpu", **options})

        def default_validate() -> dict[str, float]:
            module.eval()
            with torch.no_grad():
                output = module(collate_rows(np.arange(100)))
            assert output.loss is not None
            return {"loss": float(output.loss.total / output.loss.count)}

        around = Surroundings(
            validate=default_validate if validate is None else lambda: validate(module),
            checkpoints=CheckpointFolder(path / "checkpoints"),
            log=lambda keep: TrainingLog(path, config.tensorboard, keep),
            console=console or Console(quiet=True),
            resume_hint="headstock run somewhere --resume",
            name_example=lambda number: f"data.csv row {number + 1}",
            validates_first=validates_first,
        )
        plan = BatchPlan(np.ones(100, dtype=np.int64), config.batch_size, config.batch_cost, seed=3)
        groups = [ParameterGroup([parameter for parameter in module.parameters() if parameter.requires_grad], 0.05)]
        parts = build_parts(module, groups, plan, collate, config, 3, around)
        if exchange is not None:
            parts = exchange(module, parts)
        trainer = Trainer(module, plan, parts, ("loss", "lower"), around)
        return module, trainer

    return make


@pytest.fixture
def largest_file() -> Callable[[int], AbstractContextManager[None]]:
    """Let the system refuse to write more than so many bytes to a file."""

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited
