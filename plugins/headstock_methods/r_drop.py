"""R-Drop: outputs that agree under two dropout masks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field

from headstock import Batch, Config, Loss, Method, TrainingModel
from headstock_methods.losses import added, mean_of
from headstock_methods.perturbed.virtual import require_outputs


class RDropConfig(Config):
    """Options of the ``r-drop`` method."""

    weight: float = Field(1.0, gt=0, description="weight of the divergence beside the loss")


class RDrop(Method):
    """The mean loss of two passes, and the divergence of their outputs both ways.

    Source: X. Liang et al., "R-Drop: Regularized Dropout for Neural Networks", NeurIPS 2021 (α is twice ``weight``).
    """

    Config = RDropConfig
    config: RDropConfig

    def begin(self, model: TrainingModel, inputs: Iterable[Mapping[str, Any]]) -> None:
        """Look whether outputs can be compared.

        Raises:
            HeadstockError: the task has no divergence of its outputs, or another method inside changes the loss.
        """
        del inputs
        require_outputs(model, "r-drop")

    def loss(self, model: TrainingModel, batch: Batch) -> Loss:
        """Return mean loss and weighted divergence; two passes."""
        first, second = model.forward(batch), model.forward(batch)
        apart = model.divergence(first.outputs, second.outputs, batch)
        back = model.divergence(second.outputs, first.outputs, batch)
        both = Loss((apart.total + back.total) / 2, apart.count)
        return added(mean_of(first.require_loss(), second.require_loss()), both, self.config.weight)
