"""Backbone, adapter, head and task as one module that the trainer can call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from headstock.engine.models.training_model import ModelInside
from headstock.interfaces import Adapter, Backbone, Batch, Features, Method, StepOutput, Task


class TuningModule(nn.Module):
    """Encodes with the backbone, then asks the task for outputs and loss.

    An encoder without trainable parameters runs without autograd; the backbone's mode is the adapter's to set, but for
    the parts that the backbone keeps fixed. A batch that comes with features is not encoded, nor augmented. In training
    the methods make the loss, the first one outermost.

    Attributes:
        methods: Training methods, the outermost first.
        tunes_encoder: Whether training changes what the backbone encodes with.
    """

    def __init__(
        self, backbone: Backbone, adapter: Adapter, task: Task, head: nn.Module, methods: Sequence[Method] = ()
    ) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        self.adapter, self.task = adapter, task
        self.methods = tuple(methods)
        self.memories = nn.ModuleList(method.memory for method in methods)
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

    def forward(self, batch: Batch, embedded: Tensor | None = None, through_methods: bool = True) -> StepOutput:
        """Return the task's outputs and, when the batch has targets, the loss; through methods the loss alone.

        Args:
            batch: The batch.
            embedded: Stands for what the backbone embeds. Then the batch is augmented already.
            through_methods: Whether the methods make the loss in training.
        """
        if self.training and batch.features is None and embedded is None and through_methods:
            batch = self.task.augment(batch)
        if self.training and self.methods and through_methods and batch.targets:
            return StepOutput({}, ModelInside(self, self.methods).loss(batch))
        return self.plain(batch, embedded)

    def plain(self, batch: Batch, embedded: Tensor | None = None) -> StepOutput:
        """Return the task's outputs and loss for a batch as it is."""
        features = self.encode(batch, embedded) if batch.features is None else batch.features
        outputs = self.task.forward(self.head, features, batch)
        return StepOutput(outputs, self.task.loss(outputs, batch) if batch.targets else None)

    def encode(self, batch: Batch, embedded: Tensor | None = None) -> Features:
        """Return what the backbone makes of a batch as it is, or of a continuous input."""
        if embedded is not None:
            with torch.set_grad_enabled(torch.is_grad_enabled() and (self.tunes_encoder or embedded.requires_grad)):
                return self.backbone.encode(embedded, batch.inputs)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.tunes_encoder):
            features: Features = self.backbone(batch.inputs)
        return features

    def inside(self, index: int) -> ModelInside:
        """Return the model as the method of that index sees it."""
        return ModelInside(self, self.methods[index + 1 :])

    def begin_methods(self, inputs: Iterable[Mapping[str, Any]]) -> None:
        """Let each method look at the model and at the training inputs before the first step.

        Raises:
            HeadstockError: one does not go with this model.
        """
        for index, method in enumerate(self.methods):
            method.begin(self.inside(index), inputs)

    def rate_factors(self) -> dict[str, float]:
        """Return what the methods multiply learning rates with, by the parameter's name."""
        factors: dict[str, float] = {}
        for index, method in enumerate(self.methods):
            for name, factor in method.rate_factors(self.inside(index)).items():
                factors[name] = factors.get(name, 1.0) * factor
        return factors

    @torch.no_grad()
    def after_step(self, step: int, steps: int) -> None:
        """Let each method do what it does after optimizer step ``step`` (from 1) of ``steps``."""
        for index, method in enumerate(self.methods):
            method.after_step(self.inside(index), step, steps)

    @torch.no_grad()
    def exchange_weights(self) -> None:
        """Exchange the weights that are trained with those that are validated; done twice, all is as before."""
        for index, method in enumerate(self.methods):
            method.exchange(self.inside(index))
