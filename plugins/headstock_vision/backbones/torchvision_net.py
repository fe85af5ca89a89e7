"""Backbone ``torchvision``: any of torchvision's classification networks, and EfficientNet-Lite0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from headstock import TrainingFacts
from headstock.kits.weights import load_weights
from headstock_vision.backbones.base import ImageFacts
from headstock_vision.backbones.hub_models import TORCHVISION
from headstock_vision.backbones.networks.feature_net import FeatureNet
from headstock_vision.backbones.networks.network import NetworkBackbone, NetworkConfig
from headstock_vision.backbones.networks.torchvision_build import (
    check_name,
    load_pretrained_weights,
    make_network,
    pretraining_facts,
)
from headstock_vision.backbones.schedule import image_passes
from headstock_vision.backbones.stored import read_facts, write_stored

_TRANSFORMER_LIKE = ("vit_", "swin_", "maxvit_", "convnext_")
"""Networks with layer norm and attention, or made in their image: they want smaller steps."""


class TorchvisionConfig(NetworkConfig):
    """Options of the ``torchvision`` backbone."""

    model: str = Field(description="a classification network of torchvision, such as resnet18, or efficientnet_lite0")
    weights: str = Field(
        "default",
        description="'default' or another name of weights that torchvision has released, the path of a .safetensors "
        "file, or 'none' to train from scratch",
    )


class Torchvision(NetworkBackbone):
    """A convolutional network or vision transformer of torchvision."""

    Config = TorchvisionConfig
    config: TorchvisionConfig

    def __init__(self, config: TorchvisionConfig, facts: ImageFacts, body: FeatureNet) -> None:
        super().__init__(config, facts, body, pretrained=config.weights != "none")

    @classmethod
    def trainer_defaults(cls, config: TorchvisionConfig, facts: TrainingFacts) -> Mapping[str, Any]:
        """Return gentle rates for pretrained weights, and more epochs without."""
        if config.weights == "none":
            return {"learning_rate": 2e-3, **image_passes(facts, steps=600, least=15, most=40)}
        rate = 1e-4 if config.model.startswith(_TRANSFORMER_LIKE) else 5e-4
        return {"learning_rate": rate, **image_passes(facts, steps=150, least=4, most=10)}

    @classmethod
    def usual_values(cls, option: str, task: str) -> Mapping[str, Sequence[str]]:
        """Return models that are usual for the task, by kind."""
        del task
        return TORCHVISION if option == "model" else {}

    @classmethod
    def create(cls, config: TorchvisionConfig, inputs: Iterable[Mapping[str, Any]]) -> Self:
        """Make the network and load its weights; nothing is learnt from ``inputs``.

        Raises:
            HeadstockError: there is no such network, or its weights cannot be had or do not fit.
        """
        del inputs
        check_name(config.model)
        facts = pretraining_facts(config.model, config.weights).overridden(config)
        body = make_network(config.model, facts.image_size)
        source = None if config.weights == "none" else load_pretrained_weights(body, config.model, config.weights)
        backbone = cls(config, facts, body)
        backbone.source = source
        return backbone

    @classmethod
    def load(cls, config: TorchvisionConfig, directory: Path) -> Self:
        """Make the backbone from ``model.safetensors`` and ``config.json``."""
        check_name(config.model)
        facts = read_facts(directory)
        body = make_network(config.model, facts.image_size)
        load_weights(body.network, directory)
        return cls(config, facts, body)

    def save(self, directory: Path) -> None:
        """Write ``model.safetensors``, with torchvision's names, and ``config.json``."""
        architecture = {"library": "torchvision", "model": self.config.model, "source": self.source}
        write_stored(directory, self.body.network, self.facts, architecture)
