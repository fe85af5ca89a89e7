"""Virtual adversarial training: needs no label, for it compares outputs with outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field

from headstock import Batch, Config, HeadstockError, Loss, Method, TrainingModel
from headstock_methods.losses import added
from headstock_methods.perturbed.directions import gradient_at, leaf, norms, scaled, sizes

SMALL = 0.1
"""Length of the move by which a direction is tried, as a share of the input's norm; bfloat16 loses smaller ones."""


class VatConfig(Config):
    """Options of the ``vat`` method."""

    radius: float = Field(0.1, gt=0, description="length of the perturbation, as a share of the norm of the input")
    weight: float = Field(1.0, gt=0, description="weight of the divergence beside the loss")
    steps: int = Field(1, ge=1, le=100, description="power iterations that look for the worst direction")
    symmetric: bool = Field(False, description="divergence both ways, as in SMART (Jiang et al. 2020)")


class Vat(Method):
    """The loss, and how far the outputs move where the input moves in the direction that moves them most.

    Source: T. Miyato et al., "Virtual Adversarial Training: A Regularization Method for Supervised and Semi-Supervised
    Learning", TPAMI 2018. ``symmetric`` gives the smoothness term of H. Jiang et al., "SMART", ACL 2020, without its
    proximal steps.
    """

    Config = VatConfig
    config: VatConfig
    runs_encoder: ClassVar[bool] = True

    def begin(self, model: TrainingModel, inputs: Iterable[Mapping[str, Any]]) -> None:
        """Look whether outputs can be compared.

        Raises:
            HeadstockError: the task has no divergence of its outputs, or another method inside changes the loss.
        """
        del inputs
        require_outputs(model, "vat")

    def loss(self, model: TrainingModel, batch: Batch) -> Loss:
        """Return loss and weighted divergence; ``steps + 2`` passes."""
        embedded = leaf(model.embed(batch))
        output = model.forward(batch, embedded)
        fixed = {name: value.detach() for name, value in output.outputs.items()}
        small = SMALL * norms(embedded.detach())
        direction = torch.randn_like(embedded)
        for _ in range(self.config.steps):
            at = (embedded.detach() + scaled(direction, small)).requires_grad_()
            apart = model.divergence(model.forward(batch, at).outputs, fixed, batch)
            direction = gradient_at(apart.total, at, keep=False)
        length = self.config.radius * sizes(embedded, direction)
        moved = model.forward(batch, embedded + scaled(direction, length)).outputs
        apart = model.divergence(moved, fixed, batch)
        if self.config.symmetric:
            back = model.divergence(output.outputs, {name: value.detach() for name, value in moved.items()}, batch)
            apart = Loss(apart.total + back.total, apart.count)
        return added(output.require_loss(), apart, self.config.weight)


def require_outputs(model: TrainingModel, name: str) -> None:
    """Raise where a method that compares outputs cannot do so.

    Raises:
        HeadstockError: the task has no divergence of its outputs, or another method inside changes the loss.
    """
    if not model.compares:
        raise HeadstockError(f"method {name} compares outputs, and this task has no divergence of them; leave it out")
    if model.changed_inside:
        raise HeadstockError(f"method {name} compares the task's own outputs: name it after the others in 'methods'")
