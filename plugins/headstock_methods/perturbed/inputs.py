"""Adversarial training on the continuous input. The clean loss stays in: without it accuracy on clean data falls."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from headstock import Batch, Config, Loss, Method, TrainingModel
from headstock_methods.losses import mean_of
from headstock_methods.perturbed.directions import gradient_at, leaf, projected, scaled, sizes


class FgmConfig(Config):
    """Options of the ``fgm`` method."""

    radius: float = Field(
        0.1, gt=0, description="length of the perturbation, as a share of the norm of the example's own input"
    )


class Fgm(Method):
    """Fast gradient method: the mean of the loss and of the loss where the input has moved up the gradient.

    Source: T. Miyato, A. Dai, I. Goodfellow, "Adversarial Training Methods for Semi-Supervised Text Classification",
    ICLR 2017.
    """

    Config = FgmConfig
    config: FgmConfig
    runs_encoder: ClassVar[bool] = True

    def loss(self, model: TrainingModel, batch: Batch) -> Loss:
        """Return the mean of the clean and the adversarial loss; two passes."""
        embedded = leaf(model.embed(batch))
        clean = model.loss(batch, embedded)
        gradient = gradient_at(clean.total, embedded, keep=True)
        moved = embedded + scaled(gradient, self.config.radius * sizes(embedded, gradient))
        return mean_of(clean, model.loss(batch, moved))


class PgdConfig(FgmConfig):
    """Options of the ``pgd`` method."""

    steps: int = Field(3, ge=1, le=100, description="steps of the ascent, each a pass of its own")
    step_size: float = Field(0.4, gt=0, description="length of a step, as a share of the radius")


class Pgd(Method):
    """Projected gradient descent: the mean of the loss and of the loss after several steps within a radius.

    Source: A. Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR 2018.
    """

    Config = PgdConfig
    config: PgdConfig
    runs_encoder: ClassVar[bool] = True

    def loss(self, model: TrainingModel, batch: Batch) -> Loss:
        """Return the mean of the clean and the adversarial loss; ``steps + 1`` passes."""
        embedded = leaf(model.embed(batch))
        clean = model.loss(batch, embedded)
        ascent = Ascent(embedded, gradient_at(clean.total, embedded, keep=True), self.config)
        for _ in range(self.config.steps - 1):
            at = ascent.moved(embedded.detach()).requires_grad_()
            ascent.climb(gradient_at(model.loss(batch, at).total, at, keep=False))
        return mean_of(clean, model.loss(batch, ascent.moved(embedded)))


class FreeLbConfig(PgdConfig):
    """Options of the ``freelb`` method."""


class FreeLb(Method):
    """Free large-batch adversarial training: each step of the ascent gives a gradient for the weights, too.

    Source: C. Zhu et al., "FreeLB: Enhanced Adversarial Training for Natural Language Understanding", ICLR 2020. The
    loss is the mean of the clean one and of those of the steps; all passes are held in memory at once.
    """

    Config = FreeLbConfig
    config: FreeLbConfig
    runs_encoder: ClassVar[bool] = True

    def loss(self, model: TrainingModel, batch: Batch) -> Loss:
        """Return the mean of the clean loss and the losses on the way; ``steps + 1`` passes."""
        embedded = leaf(model.embed(batch))
        losses = [model.loss(batch, embedded)]
        ascent = Ascent(embedded, gradient_at(losses[0].total, embedded, keep=True), self.config)
        for step in range(self.config.steps):
            at = leaf(ascent.moved(embedded))
            losses.append(model.loss(batch, at))
            if step + 1 < self.config.steps:
                ascent.climb(gradient_at(losses[-1].total, at, keep=True))
        return mean_of(*losses)


class Ascent:
    """A perturbation that climbs the loss within a radius.

    Args:
        embedded: The input.
        gradient: The gradient there, along which the first step goes.
        config: Radius and steps.
    """

    def __init__(self, embedded: Tensor, gradient: Tensor, config: PgdConfig) -> None:
        self._radius = config.radius * sizes(embedded, gradient)
        self._length = config.step_size * self._radius
        self._perturbation = projected(scaled(gradient, self._length), self._radius)

    def moved(self, embedded: Tensor) -> Tensor:
        """Return the input with the perturbation."""
        return embedded + self._perturbation

    def climb(self, gradient: Tensor) -> None:
        """Take a step."""
        self._perturbation = projected(self._perturbation + scaled(gradient, self._length), self._radius)
