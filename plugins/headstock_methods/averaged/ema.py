"""An exponential moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from pydantic import Field

from headstock import Config, Method, TrainingModel
from headstock_methods.averaged.shadow import begin_shadow, exchange, lerp, shadow


class EmaConfig(Config):
    """Options of the ``ema`` method."""

    decay: float = Field(0.99, gt=0, lt=1, description="share of the average that stays in a step, in the long run")


class Ema(Method):
    """The average moves by ``1 - decay`` of the way after each step, and faster at the beginning.

    Source: B. Polyak and A. Juditsky 1992; the warm-up, (1 + t) / (10 + t), as TensorFlow's ExponentialMovingAverage.
    """

    Config = EmaConfig
    config: EmaConfig
    whole_weights: ClassVar[bool] = True

    def begin(self, model: TrainingModel, inputs: Iterable[Mapping[str, Any]]) -> None:
        """Start from the weights as they are."""
        del inputs
        begin_shadow(self.memory, model)

    def after_step(self, model: TrainingModel, step: int, steps: int) -> None:
        """Move the average."""
        del steps
        lerp(*shadow(self.memory, model), 1 - min(self.config.decay, (1 + step) / (10 + step)))

    def exchange(self, model: TrainingModel) -> None:
        """Exchange weights and average."""
        exchange(*shadow(self.memory, model))
