"""Backbone ``smallcnn``: a small residual network trained from scratch, in minutes without a GPU."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from headstock.interfaces import Features
from headstock_vision.backbones.base import ImageBackbone, ImageConfig, ImageFacts, all_true, flatten_map
from headstock_vision.backbones.checkpointing import checkpoint_stages
from headstock_vision.backbones.stored import WEIGHTS_FILE, load_exactly, read_facts, read_weights, write_stored

STAGES = 3
GROUP = 8
"""Channels of a group in group normalisation."""

FACTS = ImageFacts(32, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


class SmallCNNConfig(ImageConfig):
    """Options of the ``smallcnn`` backbone; images are 32 pixels high and wide unless ``image_size`` says otherwise."""

    width: int = Field(24, ge=8, le=512, multiple_of=8, description="channels at the start; they double three times")
    depth: int = Field(1, ge=1, le=16, description="residual blocks in each of the three stages")
    norm: Literal["batch", "group"] = Field(
        "batch",
        description="'batch' learns faster; with 'group' features never depend on neighbours, not even in training",
    )


class SmallCNN(ImageBackbone):
    """Three stages of a convolution, a halving of the resolution and residual blocks, after D. Page's ResNet-9.

    ``sequence`` is the last feature map, ``pooled`` its mean. Batch norm is the default because it is worth much where
    training is short: with 1,500 CIFAR-10 images and 15 epochs at width 32 it had 62 % of 300 validation images right,
    group norm 43 % (mean of two seeds), and standardised convolution weights made up half of the difference at most.

    Source: https://github.com/davidcpage/cifar10-fast
    """

    Config = SmallCNNConfig
    config: SmallCNNConfig
    body: _Network

    def __init__(self, config: SmallCNNConfig, facts: ImageFacts) -> None:
        super().__init__(config, facts)
        self.body = _Network(config)
        self.feature_dim = config.width * 2**STAGES

    @classmethod
    def trainer_defaults(cls, config: SmallCNNConfig) -> Mapping[str, Any]:
        """Return what suits training from scratch."""
        del config
        return {"learning_rate": 2e-3, "epochs": 15, "weight_decay": 0.05}

    @classmethod
    def create(cls, config: SmallCNNConfig, inputs: Iterable[Mapping[str, Any]]) -> Self:
        """Make a network with new weights; nothing is learnt from ``inputs``."""
        del inputs
        return cls(config, FACTS.overridden(config))

    @classmethod
    def load(cls, config: SmallCNNConfig, directory: Path) -> Self:
        """Make the backbone from ``model.safetensors`` and ``config.json``."""
        backbone = cls(config, read_facts(directory))
        path = directory / WEIGHTS_FILE
        load_exactly(backbone.body, read_weights(path), str(path))
        return backbone

    def save(self, directory: Path) -> None:
        """Write ``model.safetensors`` and ``config.json``."""
        architecture = {"architecture": "smallcnn", **self.config.model_dump(include={"width", "depth", "norm"})}
        write_stored(directory, self.body, self.facts, architecture)

    def encode(self, embedded: Tensor, inputs: dict[str, Tensor]) -> Features:
        """Return the last feature map (B, size/8 * size/8, 8 * width) and its mean."""
        del inputs
        # convolutions are faster with channels last, on the CPU too; the input decides it for all layers
        sequence = flatten_map(self.body(embedded.contiguous(memory_format=torch.channels_last)))
        return Features(sequence, all_true(sequence), sequence.mean(dim=1))

    def enable_gradient_checkpointing(self) -> None:
        """Recompute the stages in the backward pass."""
        checkpoint_stages(self.body.stages)


class _Network(nn.Module):
    """Pixels (B, 3, H, W) to a feature map (B, 8 * width, H/8, W/8)."""

    def __init__(self, config: SmallCNNConfig) -> None:
        super().__init__()
        self.stem = _convolution(3, config.width, config.norm)
        widths = [config.width * 2**stage for stage in range(STAGES + 1)]
        self.stages = nn.ModuleList(_stage(*pair, config) for pair in itertools.pairwise(widths))

    def forward(self, images: Tensor) -> Tensor:
        values: Tensor = self.stem(images)
        for stage in self.stages:
            values = stage(values)
        return values


class _Residual(nn.Module):
    def __init__(self, width: int, norm: str) -> None:
        super().__init__()
        self.block = nn.Sequential(_convolution(width, width, norm), _convolution(width, width, norm))

    def forward(self, values: Tensor) -> Tensor:
        changed: Tensor = self.block(values)
        return values + changed


def _convolution(taken: int, given: int, norm: str) -> nn.Sequential:
    normalise = nn.BatchNorm2d(given) if norm == "batch" else nn.GroupNorm(given // GROUP, given)
    return nn.Sequential(nn.Conv2d(taken, given, 3, padding=1, bias=False), normalise, nn.GELU())


def _stage(taken: int, given: int, config: SmallCNNConfig) -> nn.Sequential:
    blocks = [_Residual(given, config.norm) for _ in range(config.depth)]
    return nn.Sequential(_convolution(taken, given, config.norm), nn.MaxPool2d(2), *blocks)
