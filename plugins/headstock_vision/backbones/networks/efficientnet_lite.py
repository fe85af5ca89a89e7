"""EfficientNet-Lite0, which torchvision has not: EfficientNet-B0 that runs well without a GPU.

Squeeze-and-excitation is gone and ReLU6 stands for SiLU; stem and head are as wide as B0's. See
https://blog.tensorflow.org/2020/03/higher-accuracy-on-vision-models-with-efficientnet-lite.html
"""

from __future__ import annotations

from functools import partial

from torch import nn
from torchvision.models import efficientnet_b0
from torchvision.ops import SqueezeExcitation

from headstock_vision.backbones.base import ImageFacts

NAME = "efficientnet_lite0"

FACTS = ImageFacts(224, mean=(127 / 255,) * 3, std=(128 / 255,) * 3, interpolation="bicubic")
"""Inputs are (x - 127) / 128 with x in 0…255."""

EPSILON = 1e-3
"""What TensorFlow's EfficientNets add to the variance in batch norm, with which the released weights were trained."""


def efficientnet_lite0() -> nn.Module:
    """Return the network with new weights; its modules are named as in torchvision's EfficientNet-B0."""
    network: nn.Module = efficientnet_b0(weights=None, norm_layer=partial(nn.BatchNorm2d, eps=EPSILON))
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, SqueezeExcitation):
                setattr(module, name, nn.Identity())
            elif isinstance(child, nn.SiLU):
                setattr(module, name, nn.ReLU6(inplace=True))
    return network
