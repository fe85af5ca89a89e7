"""Distillation from a finished run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from headstock import Batch, Config, HeadstockError, Loss, Method, TrainingModel, load
from headstock_methods.losses import added
from headstock_methods.perturbed.virtual import require_outputs


class DistillationConfig(Config):
    """Options of the ``distillation`` method."""

    teacher: Path = Field(
        description="run directory of the finished run to learn from; it has the same task and labels"
    )
    weight: float = Field(0.5, ge=0, le=1, description="share of the teacher's word; the rest is that of the labels")
    temperature: float = Field(2.0, gt=0, description="what logits are divided by before they are compared")


class Distillation(Method):
    """The loss of the labels, and how far the outputs lie from those of a teacher, which has seen each example once.

    Source: G. Hinton, O. Vinyals, J. Dean, "Distilling the Knowledge in a Neural Network", 2015. The teacher may have
    another backbone. Its outputs are computed before the first step; training that augments examples compares with
    those of the examples as they are.
    """

    Config = DistillationConfig
    config: DistillationConfig

    def __init__(self, config: DistillationConfig) -> None:
        super().__init__(config)
        self._taught: dict[str, Tensor] = {}
        self._digest: Tensor | None = None

    def begin(self, model: TrainingModel, inputs: Iterable[Mapping[str, Any]]) -> None:
        """Ask the teacher about all training examples.

        Raises:
            HeadstockError: there is no such run, it has another task or other labels, or its outputs are not one row of
                numbers an example.
        """
        require_outputs(model, "distillation")
        place = self.config.teacher
        teacher = load(place)
        if teacher.task.state() != dict(model.task_state):
            raise HeadstockError(
                f"method distillation: the teacher {place} has learnt other labels or options than this run's task"
            )
        parts = list(teacher.outputs(inputs))
        for name in parts[0]:
            values = [part[name] for part in parts]
            if any(value.ndim != 2 or value.shape[1] != values[0].shape[1] for value in values):
                raise HeadstockError(
                    f"method distillation compares a row of numbers for each example; '{name}' of {place} is none"
                )
            self._taught[name] = torch.cat(values)
        self._digest = _digest(self._taught)
        self.memory.register_buffer("teacher", self._digest.clone())

    def loss(self, model: TrainingModel, batch: Batch) -> Loss:
        """Return the weighted sum of both; one pass."""
        output = model.forward(batch)
        loss = output.require_loss()
        if batch.indices is None:
            raise HeadstockError("method distillation needs to know which examples a batch holds")
        self._require_same_teacher()
        warm = 1 / self.config.temperature
        taught = {
            name: values[batch.indices].to(output.outputs[name].device) * warm for name, values in self._taught.items()
        }
        ours = {name: output.outputs[name].float() * warm for name in taught}
        apart = model.divergence(ours, taught, batch)
        share = self.config.weight
        labels = Loss(loss.total * (1 - share), loss.count)
        return added(labels, apart, share * self.config.temperature**2)

    def _require_same_teacher(self) -> None:
        """Compare what the teacher says with what it said when the run began, once in a session."""
        if self._digest is None:
            return
        if not self.memory.get_buffer("teacher").cpu().equal(self._digest):
            raise HeadstockError(
                f"method distillation: the teacher {self.config.teacher} says other things than when the run began; "
                "--force starts again"
            )
        self._digest = None


def _digest(tensors: Mapping[str, Tensor]) -> Tensor:
    """Return 32 numbers of 8 bits that stand for tensors."""
    hasher = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        hasher.update(name.encode())
        hasher.update(value.contiguous().numpy().data)
    return torch.tensor(list(hasher.digest()), dtype=torch.uint8)
