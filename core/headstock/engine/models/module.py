"""Backbone, adapter, head and task as one module that the trainer can call."""

from __future__ import annotations

from typing import Self

import torch
from torch import nn

from headstock.interfaces import Adapter, Backbone, Batch, Features, StepOutput, Task


class TuningModule(nn.Module):
    """Encodes with the backbone, then asks the task for outputs and loss.

    An encoder without trainable parameters runs without autograd; the backbone's mode is the adapter's to set, but for
    the parts that the backbone keeps fixed. A batch that comes with features is not encoded, nor augmented.

    Attributes:
        tunes_encoder: Whether training changes what the backbone encodes with.
    """

    def __init__(self, backbone: Backbone, adapter: Adapter, task: Task, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        self.adapter, self.task = adapter, task
        self.tunes_encoder = any(
            parameter.requires_grad for part in backbone.encoder_parts() for parameter in part.parameters()
        )

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation."""
        self.training = mode
        self.adapter.set_mode(self.backbone, mode)
        for part in self.backbone.fixed_parts():
            part.eval()
        self.head.train(mode)
        return self

    def forward(self, batch: Batch) -> StepOutput:
        """Return the task's outputs and, when the batch has targets, the loss."""
        if self.training and batch.features is None:
            batch = self.task.augment(batch)
        features = self.encode(batch) if batch.features is None else batch.features
        outputs = self.task.forward(self.head, features, batch)
        return StepOutput(outputs, self.task.loss(outputs, batch) if batch.targets else None)

    def encode(self, batch: Batch) -> Features:
        """Return what the backbone makes of a batch as it is."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.tunes_encoder):
            features: Features = self.backbone(batch.inputs)
        return features
