"""Backbones with one fault each."""

from __future__ import annotations

import random

import torch
from kit_sound import Letters, LettersConfig
from pydantic import BaseModel, Field
from torch import nn

from headstock import Features


class OpenConfig(BaseModel):
    dropout: float = Field(0.1, description="dropout")


class OpenOptions(Letters):
    Config = OpenConfig

    def __init__(self, config):
        super().__init__(LettersConfig(dropout=config.dropout))
        self.config = LettersConfig(dropout=config.dropout)


class IgnoredConfig(LettersConfig):
    sharpness: float = Field(1.0, gt=0, description="how sharp the vectors are")


class IgnoredOption(Letters):
    Config = IgnoredConfig


class OtherInBatches(Letters):
    def preprocess_many(self, inputs):
        return [self.preprocess(inputs[0]) for _ in inputs]


class ForgetsItsSequence(Letters):
    def __init__(self, config):
        super().__init__(config)
        self.projection = nn.Linear(config.width, config.width)

    @classmethod
    def load(cls, config, directory):
        backbone = super().load(config, directory)
        nn.init.zeros_(backbone.projection.weight)
        return backbone

    def encode(self, embedded, inputs):
        features = super().encode(embedded, inputs)
        return features._replace(sequence=self.projection(features.sequence))


class NoiseOfPython(Letters):
    def encode(self, embedded, inputs):
        if self.training:
            embedded = embedded * random.uniform(0.5, 1.5)
        return super().encode(embedded, inputs)


class MaskIgnored(Letters):
    def encode(self, embedded, inputs):
        sequence = self.body(embedded.transpose(1, 2)).transpose(1, 2)
        return Features(sequence, inputs["mask"], sequence.mean(dim=1))


class BatchStatistics(Letters):
    def encode(self, embedded, inputs):
        features = super().encode(embedded, inputs)
        return features._replace(pooled=features.pooled - features.pooled.mean(dim=0))


class MovingStatistics(Letters):
    def __init__(self, config):
        super().__init__(config)
        self.register_buffer("mean", torch.zeros(config.width))

    def encode(self, embedded, inputs):
        features = super().encode(embedded, inputs)
        self.mean += 0.1 * features.pooled.mean(dim=0).detach()
        return features


class WrongWidth(Letters):
    def __init__(self, config):
        super().__init__(config)
        self.feature_dim = config.width

    def encode(self, embedded, inputs):
        features = super().encode(embedded, inputs)
        return features._replace(pooled=features.pooled.repeat(1, 2))


class FloatMask(Letters):
    def encode(self, embedded, inputs):
        features = super().encode(embedded, inputs)
        return features._replace(mask=features.mask.float())


class FlatCost(Letters):
    def cost(self, example):
        return 1


class ShrinkingCost(Letters):
    def cost(self, example):
        return 1000 - len(example["ids"])


class RandomPreprocessing(Letters):
    def preprocess(self, inputs):
        ids = super().preprocess(inputs)["ids"]
        return {"ids": ids[torch.randperm(len(ids))]}


class StaleFingerprint(Letters):
    def fingerprint(self):
        return {"fold": self.config.fold}


class BreaksInBf16(Letters):
    def encode(self, embedded, inputs):
        features = super().encode(embedded, inputs)
        if torch.is_autocast_enabled("cpu"):
            return features._replace(pooled=features.pooled + torch.where(features.pooled > 2, 1.0, float("nan")))
        return features


class OtherGradientsWithCheckpointing(Letters):
    def enable_gradient_checkpointing(self):
        self.embedding.requires_grad_(False)


class CannotBeCompiled(Letters):
    def encode(self, embedded, inputs):
        features = super().encode(embedded, inputs)
        factor = 1.5 if torch.compiler.is_compiling() else 1.0
        return features._replace(pooled=features.pooled * factor)


class LoadsNothing(Letters):
    @classmethod
    def load(cls, config, directory):
        return cls(config)


class ForgetsWhereItWas(Letters):
    def __init__(self, config):
        super().__init__(config)
        self.steps = 0

    def encode(self, embedded, inputs):
        if self.training:
            self.steps += 1
            embedded = embedded * (1 + 0.1 * self.steps)
        return super().encode(embedded, inputs)


class CountsPadding(Letters):
    def encode(self, embedded, inputs):
        features = super().encode(embedded, inputs)
        return features._replace(sequence=features.sequence * features.sequence.shape[1])
