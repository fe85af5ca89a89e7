"""Noise on the continuous input."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field

from headstock import Batch, Config, Loss, Method, TrainingModel


class NeftuneConfig(Config):
    """Options of the ``neftune`` method."""

    alpha: float = Field(5.0, gt=0, description="noise is uniform within ± alpha / √(numbers of an example's input)")


class Neftune(Method):
    """Uniform noise on the continuous input, in training alone.

    Source: N. Jain et al., "NEFTune: Noisy Embeddings Improve Instruction Finetuning", ICLR 2024.
    """

    Config = NeftuneConfig
    config: NeftuneConfig
    runs_encoder: ClassVar[bool] = True
    across_batch: ClassVar[bool] = True  # the width depends on how far examples are padded

    def loss(self, model: TrainingModel, batch: Batch) -> Loss:
        """Return the loss under noise; one pass."""
        embedded = model.embed(batch)
        width = self.config.alpha / embedded[0].numel() ** 0.5
        return model.loss(batch, embedded + torch.empty_like(embedded).uniform_(-width, width))
