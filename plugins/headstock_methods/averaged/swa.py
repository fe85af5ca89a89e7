"""Stochastic weight averaging: the mean of the weights of the last steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field

from headstock import Config, Method, TrainingFacts, TrainingModel
from headstock_methods.averaged.shadow import begin_shadow, exchange, lerp, shadow


class SwaConfig(Config):
    """Options of the ``swa`` method."""

    start: float = Field(0.75, ge=0, lt=1, description="share of the training after which weights are averaged")
    every: int = Field(1, ge=1, description="steps between two that are averaged")


class Swa(Method):
    """The mean of the weights after each step from ``start`` on; before that the weights as they are trained.

    Source: P. Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", UAI 2018; the
    schedule of rates is the trainer's (``trainer.schedule=constant`` comes nearest to the paper's). Training is not
    ended early by itself, or nothing would be averaged.
    """

    Config = SwaConfig
    config: SwaConfig
    whole_weights: ClassVar[bool] = True

    @classmethod
    def trainer_defaults(cls, config: Any, facts: TrainingFacts) -> Mapping[str, Any]:
        """Return that training goes on to its end."""
        del config, facts
        return {"patience": None}

    def begin(self, model: TrainingModel, inputs: Iterable[Mapping[str, Any]]) -> None:
        """Begin with nothing averaged."""
        del inputs
        begin_shadow(self.memory, model)
        self.memory.register_buffer("averaged", torch.zeros((), dtype=torch.int64))

    def after_step(self, model: TrainingModel, step: int, steps: int) -> None:
        """Take the weights into the mean."""
        if step <= self.config.start * steps or step % self.config.every:
            return
        count = self.memory.get_buffer("averaged")
        count += 1
        lerp(*shadow(self.memory, model), 1 / int(count))

    def exchange(self, model: TrainingModel) -> None:
        """Exchange weights and mean, once there is one."""
        if int(self.memory.get_buffer("averaged")):
            exchange(*shadow(self.memory, model))
