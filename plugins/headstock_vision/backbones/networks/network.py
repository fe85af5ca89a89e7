"""What backbones that wrap one of torchvision's classification networks share."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from headstock import Features
from headstock_vision.backbones.base import ImageBackbone, ImageConfig, ImageFacts, all_true, flatten_map
from headstock_vision.backbones.checkpointing import checkpoint_stages
from headstock_vision.backbones.networks.feature_net import FeatureNet
from headstock_vision.backbones.networks.folding import fold_fixed_norms


class NetworkConfig(ImageConfig):
    """Options of every such backbone."""

    batch_norm: Literal["auto", "fixed", "updated"] = Field(
        "auto",
        description="whether training updates the statistics of batch norm; 'auto': only without pretrained weights",
    )


class NetworkBackbone(ImageBackbone):
    """A classification network without its classifier.

    ``pooled`` is what the network's classifier sees. ``sequence`` is the last feature map where it is as wide as
    ``pooled``, else ``pooled`` alone.

    Pretrained batch norm keeps its statistics: with EfficientNet-Lite0 and 140 pictures of ants and bees, 89 % of 150
    others were right instead of 85 %; with 500 images of CIFAR-10, 62 % of 300 instead of 48 % (one seed each).

    Args:
        config: The backbone's options.
        facts: How the network wants its images.
        body: The network.
        pretrained: Whether its weights are.
    """

    config: NetworkConfig
    body: FeatureNet

    def __init__(self, config: NetworkConfig, facts: ImageFacts, body: FeatureNet, pretrained: bool) -> None:
        super().__init__(config, facts)
        self.body = body
        self.fixed_statistics = config.batch_norm == "fixed" or (config.batch_norm == "auto" and pretrained)
        if self.fixed_statistics:
            fold_fixed_norms(body)
        self.feature_dim = self.probe(self).pooled.shape[1]

    def encode(self, embedded: Tensor, inputs: dict[str, Tensor]) -> Features:
        """Return the last feature map as a sequence, row by row, and the penultimate features."""
        del inputs
        # convolutions are faster with channels last, on the CPU too; the input decides it for all layers
        seen, pooled = self.body(embedded.contiguous(memory_format=torch.channels_last))
        if seen.ndim == 4 and seen.shape[1] == pooled.shape[1]:
            sequence = flatten_map(seen)
        elif seen.ndim == 3 and seen.shape[2] == pooled.shape[1]:
            sequence = seen
        else:
            sequence = pooled[:, None]
        return Features(sequence, all_true(sequence), pooled)

    def enable_gradient_checkpointing(self) -> None:
        """Recompute the network's stages in the backward pass.

        Raises:
            NotImplementedError: the network is not made of stages (AlexNet, VGG).
        """
        stages = self.body.stages()
        if not stages:
            raise NotImplementedError(f"{type(self.body.network).__name__} has no stages to recompute")
        checkpoint_stages(stages)
