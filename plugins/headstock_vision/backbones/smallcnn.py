"""Backbone ``smallcnn``: a small residual network trained from scratch, in minutes without a GPU."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from headstock import Features, TrainingFacts
from headstock.kits.weights import load_weights
from headstock_vision.backbones.base import ImageBackbone, ImageConfig, ImageFacts, all_true, flatten_map
from headstock_vision.backbones.checkpointing import checkpoint_stages
from headstock_vision.backbones.schedule import image_passes
from headstock_vision.backbones.stored import read_facts, write_stored

STAGES = 3
GROUP = 8
"""Channels of a group in group normalisation."""

FACTS = ImageFacts(32, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


class SmallCNNConfig(ImageConfig):
    """Options of the ``smallcnn`` backbone; images are 32 pixels high and wide unless ``image_size`` says otherwise."""

    width: int = Field(24, ge=8, le=512, multiple_of=8, description="channels at the start; they double three times")
    depth: int = Field(1, ge=1, le=16, description="residual blocks in each of the three stages")


class SmallCNN(ImageBackbone):
    """Three stages of a convolution, a halving of the resolution and residual blocks, after D. Page's ResNet-9.

    ``sequence`` is the last feature map and ``pooled`` its mean, both after layer norm. Instead of batch norm there are
    group norm and standardised weights, after BiT (Kolesnikov et al. 2020), so that an example's features never depend
    on its neighbours, not even in training. Tried with 1,500 CIFAR-10 images and 12 epochs at width 16, this had 58 %
    of 300 validation images right and batch norm 58 to 61 %, but with batch norm validation jumped about (41 to 86 %
    from one epoch to the next on digits) because its statistics lag behind; group norm alone had 43 %.

    Source: https://github.com/davidcpage/cifar10-fast
    """

    Config = SmallCNNConfig
    config: SmallCNNConfig
    body: _Network

    def __init__(self, config: SmallCNNConfig, facts: ImageFacts) -> None:
        super().__init__(config, facts)
        self.body = _Network(config.width, config.depth)
        self.feature_dim = config.width * 2**STAGES

    @classmethod
    def trainer_defaults(cls, config: SmallCNNConfig, facts: TrainingFacts) -> Mapping[str, Any]:
        """Return what suits training from scratch."""
        del config
        return {"learning_rate": 2e-3, "weight_decay": 0.05, **image_passes(facts, steps=600, least=15, most=40)}

    @classmethod
    def create(cls, config: SmallCNNConfig, inputs: Iterable[Mapping[str, Any]]) -> Self:
        """Make a network with new weights; nothing is learnt from ``inputs``."""
        del inputs
        return cls(config, FACTS.overridden(config))

    @classmethod
    def load(cls, config: SmallCNNConfig, directory: Path) -> Self:
        """Make the backbone from ``model.safetensors`` and ``config.json``."""
        backbone = cls(config, read_facts(directory))
        load_weights(backbone.body, directory)
        return backbone

    def save(self, directory: Path) -> None:
        """Write ``model.safetensors`` and ``config.json``."""
        architecture = {"architecture": "smallcnn", **self.config.model_dump(include={"width", "depth"})}
        write_stored(directory, self.body, self.facts, architecture)

    def encode(self, embedded: Tensor, inputs: dict[str, Tensor]) -> Features:
        """Return the last feature map as a sequence (B, size/8 * size/8, 8 * width), row by row, and its mean."""
        del inputs
        # convolutions are faster with channels last, on the CPU too; the input decides it for all layers
        sequence, pooled = self.body(embedded.contiguous(memory_format=torch.channels_last))
        return Features(sequence, all_true(sequence), pooled)

    def enable_gradient_checkpointing(self) -> None:
        """Recompute the stages in the backward pass."""
        checkpoint_stages(self.body.stages)


class _Network(nn.Module):
    """Pixels (B, 3, H, W) to a sequence (B, H/8 * W/8, 8 * width) and its pooled vector (B, 8 * width)."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.stem = _convolution(3, width)
        widths = [width * 2**stage for stage in range(STAGES + 1)]
        self.stages = nn.ModuleList(_stage(*pair, depth) for pair in itertools.pairwise(widths))
        self.norm = nn.LayerNorm(widths[-1])

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        values: Tensor = self.stem(images)
        for stage in self.stages:
            values = stage(values)
        sequence = flatten_map(values)
        return self.norm(sequence), self.norm(sequence.mean(dim=1))


class _StandardisedConvolution(nn.Conv2d):
    """A convolution whose filters have mean 0 and unit length whatever is learnt (Qiao et al. 2019).

    ``standardised`` is set by whoever wants it: peft makes the low-rank convolutions that it adds to a layer of that
    layer's own class, and those must be plain.
    """

    standardised = False

    def forward(self, input: Tensor) -> Tensor:
        if not self.standardised:
            return super().forward(input)
        shape = self.weight.shape[1:]
        weight = functional.layer_norm(self.weight, shape, eps=1e-8) / math.sqrt(shape.numel())
        return functional.conv2d(input, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class _Residual(nn.Module):
    """Two convolutions beside a straight way; at the start they give nothing, so that the network starts shallow."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block = nn.Sequential(_convolution(width, width), _convolution(width, width, scale=0.0))

    def forward(self, values: Tensor) -> Tensor:
        changed: Tensor = self.block(values)
        return values + changed


def _convolution(in_channels: int, out_channels: int, scale: float = 1.0) -> nn.Sequential:
    convolution = _StandardisedConvolution(in_channels, out_channels, 3, padding=1, bias=False)
    convolution.standardised = True
    norm = nn.GroupNorm(out_channels // GROUP, out_channels)
    nn.init.constant_(norm.weight, scale)
    return nn.Sequential(convolution, norm, nn.GELU())


def _stage(in_channels: int, out_channels: int, depth: int) -> nn.Sequential:
    return nn.Sequential(
        _convolution(in_channels, out_channels), nn.MaxPool2d(2), *(_Residual(out_channels) for _ in range(depth))
    )
