"""The model as training methods see it, one inside the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from headstock.interfaces import Batch, Features, Loss, Method, StepOutput, Task, TrainingModel
from headstock_registry import HeadstockError

if TYPE_CHECKING:
    from headstock.engine.models.module import TuningModule


class ModelInside(TrainingModel):
    """The model with the methods that are inside of another one.

    Args:
        module: The model.
        inside: The methods inside, the outermost first.
        embedded: What the methods outside have made of the continuous input; ``None``: it is as it was.
        parameters: What they have put in the place of parameters.
    """

    def __init__(
        self,
        module: TuningModule,
        inside: Sequence[Method],
        embedded: Tensor | None = None,
        parameters: Mapping[str, Tensor] | None = None,
    ) -> None:
        self._module, self._inside = module, inside
        self._embedded, self._parameters = embedded, dict(parameters or {})

    def embed(self, batch: Batch) -> Tensor:
        """Return the continuous input, as the methods outside have changed it."""
        if batch.features is not None:
            raise HeadstockError("a method puts features in place of the input that another one wants; name it last")
        if self._embedded is not None:
            return self._embedded
        with torch.set_grad_enabled(torch.is_grad_enabled() and self._module.tunes_encoder):
            embedded: Tensor = self._module.backbone.embed(batch.inputs)
        return embedded

    def loss(
        self, batch: Batch, embedded: Tensor | None = None, parameters: Mapping[str, Tensor] | None = None
    ) -> Loss:
        """Return what the methods inside make of a batch, and then the task."""
        embedded, parameters = self._inherited(embedded, parameters)
        if self._inside:
            first, *rest = self._inside
            return first.loss(ModelInside(self._module, rest, embedded, parameters), batch)
        return self._run(batch, embedded, parameters).require_loss()

    def forward(
        self, batch: Batch, embedded: Tensor | None = None, parameters: Mapping[str, Tensor] | None = None
    ) -> StepOutput:
        """Return the task's outputs for a batch and its loss."""
        return self._run(batch, *self._inherited(embedded, parameters))

    def features(self, batch: Batch, embedded: Tensor | None = None) -> Features:
        """Return what the backbone makes of a batch."""
        return self._module.encode(batch, self._embedded if embedded is None else embedded)

    @property
    def compares(self) -> bool:
        """Whether the task has a divergence of its outputs."""
        return type(self._module.task).divergence is not Task.divergence

    def divergence(self, outputs: Mapping[str, Tensor], reference: Mapping[str, Tensor], batch: Batch) -> Loss:
        """Return how far the outputs lie from others."""
        try:
            return self._module.task.divergence(dict(outputs), dict(reference), batch)
        except NotImplementedError as error:
            name = type(self._module.task).__name__
            raise HeadstockError(f"{name} has no divergence of its outputs here, which a method needs") from error

    @property
    def changed_inside(self) -> bool:
        """Whether a method inside changes the loss."""
        return any(type(method).loss is not Method.loss for method in self._inside)

    @property
    def task_state(self) -> Mapping[str, Any]:
        """What the task has learnt."""
        return self._module.task.state()

    @property
    def reads(self) -> tuple[str, ...]:
        """Which features the task reads."""
        return tuple(self._module.task.reads)

    def parameters(self) -> dict[str, nn.Parameter]:
        """Return what is trained, by name."""
        return {name: value for name, value in self._module.named_parameters() if value.requires_grad}

    def _inherited(
        self, embedded: Tensor | None, parameters: Mapping[str, Tensor] | None
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        return self._embedded if embedded is None else embedded, {**self._parameters, **(parameters or {})}

    def _run(self, batch: Batch, embedded: Tensor | None, parameters: Mapping[str, Tensor]) -> StepOutput:
        if not parameters:
            return self._module.plain(batch, embedded)
        options = {"embedded": embedded, "through_methods": False}
        output: StepOutput = torch.func.functional_call(self._module, dict(parameters), (batch,), options)
        return output
