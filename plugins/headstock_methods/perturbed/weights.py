"""Losses at weights that have moved up the gradient."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from headstock import Batch, Config, Loss, Method, TrainingModel
from headstock_methods.losses import mean_of
from headstock_methods.perturbed.directions import TINY


class AwpConfig(Config):
    """Options of the ``awp`` method."""

    radius: float = Field(0.005, gt=0, description="how far each weight tensor moves, as a share of its norm")


class Awp(Method):
    """Adversarial weight perturbation: the mean of the loss and of the loss at moved weights.

    Source: D. Wu, S. Xia, Y. Wang, "Adversarial Weight Perturbation Helps Robust Generalization", NeurIPS 2020. Biases
    and norms stay.
    """

    Config = AwpConfig
    config: AwpConfig
    whole_weights: ClassVar[bool] = True
    moves_weights: ClassVar[bool] = True
    across_batch: ClassVar[bool] = True

    def loss(self, model: TrainingModel, batch: Batch) -> Loss:
        """Return the mean of both losses; two passes."""
        clean = model.loss(batch)
        moved: dict[str, Tensor] = {}
        for name, (parameter, gradient) in _gradients(model, clean, keep=True).items():
            if parameter.ndim > 1:
                length = self.config.radius * parameter.detach().norm() / gradient.norm().clamp(min=TINY)
                moved[name] = parameter + gradient * length
        return mean_of(clean, model.loss(batch, parameters=moved))


class SamConfig(Config):
    """Options of the ``sam`` method."""

    radius: float = Field(0.05, gt=0, description="how far all weights together move")


class Sam(Method):
    """Sharpness-aware minimisation: the gradient is taken where the loss is worst within a radius.

    Source: P. Foret et al., "Sharpness-Aware Minimization for Efficiently Improving Generalization", ICLR 2021. Each
    batch (of an accumulated step, too) moves by its own gradient, which the paper calls m-sharpness.
    """

    Config = SamConfig
    config: SamConfig
    whole_weights: ClassVar[bool] = True
    moves_weights: ClassVar[bool] = True
    across_batch: ClassVar[bool] = True

    def loss(self, model: TrainingModel, batch: Batch) -> Loss:
        """Return the loss at the moved weights; two passes."""
        found = _gradients(model, model.loss(batch), keep=False)
        norm = torch.stack([gradient.norm() for _, gradient in found.values()]).norm().clamp(min=TINY)
        length = self.config.radius / norm
        moved = {name: parameter + gradient * length for name, (parameter, gradient) in found.items()}
        return model.loss(batch, parameters=moved)


def _gradients(model: TrainingModel, loss: Loss, keep: bool) -> dict[str, tuple[Tensor, Tensor]]:
    """Return what is trained and the gradient of the mean loss there, by name, without what the loss does not use."""
    parameters = model.parameters()
    gradients = torch.autograd.grad(
        loss.total / loss.count, list(parameters.values()), retain_graph=keep, allow_unused=True
    )
    return {
        name: (parameter, _dense(gradient.detach()))
        for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True)
        if gradient is not None
    }


def _dense(gradient: Tensor) -> Tensor:
    return gradient.to_dense() if gradient.is_sparse else gradient
