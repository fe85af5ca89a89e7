"""Backbone ``torchvision-detection``: the feature pyramid of a detection network of torchvision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import torch
import torchvision
from pydantic import Field
from torch import Tensor, nn

from headstock import Features, TrainingFacts
from headstock.kits import user_path
from headstock.kits.weights import load_exactly, load_weights, read_weights
from headstock_registry import UnknownNameError, nearest
from headstock_vision.backbones.base import ImageBackbone, ImageConfig, ImageFacts, all_true, flatten_map
from headstock_vision.backbones.checkpointing import checkpoint_stages
from headstock_vision.backbones.networks.torchvision_build import download, is_path, released_weights
from headstock_vision.backbones.stored import read_facts, write_stored
from headstock_vision.detection.heads import DetectionHead, Limits
from headstock_vision.detection.maps import Maps
from headstock_vision.detection.torchvision_head import TorchvisionHead

FAMILIES = ("fasterrcnn_", "fcos_", "retinanet_")
"""Networks whose feature maps are all of one width."""
FACTS = ImageFacts(640)
INSIDE = "backbone."
"""How the names of the weights begin that are the backbone's."""


class TorchvisionDetectionConfig(ImageConfig):
    """Options of the ``torchvision-detection`` backbone."""

    model: str = Field(
        "fasterrcnn_resnet50_fpn_v2", description="a detection network of torchvision: Faster R-CNN, FCOS or RetinaNet"
    )
    weights: str = Field(
        "default",
        description="'default' or another name of weights that torchvision has released, the path of a .safetensors "
        "file, or 'none' to train from scratch",
    )
    batch_norm: Literal["auto", "fixed", "updated"] = Field(
        "auto",
        description="whether training updates the statistics of batch norm; 'auto': only without pretrained weights",
    )


class TorchvisionDetection(ImageBackbone):
    """Several feature maps, the finest first, in one sequence; ``pooled`` is the mean of the coarsest.

    For ``object-detection`` it brings the network's own head. Other tasks may use it as well.

    Attributes:
        map_sides: Cells along an edge of each map.
    """

    Config = TorchvisionDetectionConfig
    config: TorchvisionDetectionConfig

    def __init__(self, config: TorchvisionDetectionConfig, facts: ImageFacts, body: nn.Module) -> None:
        super().__init__(config, facts)
        self.body = body
        pretrained = config.weights != "none"
        self.fixed_statistics = config.batch_norm == "fixed" or (config.batch_norm == "auto" and pretrained)
        maps = self.probe(lambda inputs: self.body(self.embed(inputs)))
        self.feature_dim = int(next(iter(maps.values())).shape[1])
        self.map_sides = tuple(int(each.shape[2]) for each in maps.values())
        self._names = tuple(maps)
        self._head_weights: dict[str, Tensor] = {}

    @classmethod
    def trainer_defaults(cls, config: TorchvisionDetectionConfig, facts: TrainingFacts) -> Mapping[str, Any]:
        """Return gentle rates for pretrained weights, and more epochs without."""
        if config.weights == "none":
            return {"learning_rate": 3e-4, "epochs": 60, "batch_size": 4}
        return {"learning_rate": 1e-4, "epochs": 20, "batch_size": 4}

    @classmethod
    def create(cls, config: TorchvisionDetectionConfig, inputs: Iterable[Mapping[str, Any]]) -> Self:
        """Make the network and load its weights; nothing is learnt from ``inputs``.

        Raises:
            HeadstockError: there is no such network, or its weights cannot be had or do not fit.
        """
        del inputs
        body = _body(config.model)
        state: dict[str, Tensor] = {}
        origin = None
        if is_path(config.weights):
            origin, state = config.weights, read_weights(user_path(config.weights, "backbone.weights"))
        elif config.weights != "none":
            released = released_weights(config.model, config.weights)
            origin, state = f"torchvision/{config.model}/{released.name}", download(released)
        if origin is not None:
            own = {name.removeprefix(INSIDE): value for name, value in state.items() if name.startswith(INSIDE)}
            load_exactly(body, own, origin)
        backbone = cls(config, FACTS.overridden(config), body)
        backbone.source = origin
        backbone._head_weights = {name: value for name, value in state.items() if not name.startswith(INSIDE)}
        return backbone

    @classmethod
    def load(cls, config: TorchvisionDetectionConfig, directory: Path) -> Self:
        """Make the backbone from ``model.safetensors`` and ``config.json``."""
        body = _body(config.model)
        load_weights(body, directory)
        return cls(config, read_facts(directory), body)

    def save(self, directory: Path) -> None:
        """Write ``model.safetensors``, with torchvision's names of a network's backbone, and ``config.json``."""
        architecture = {"library": "torchvision", "model": self.config.model, "source": self.source}
        write_stored(directory, self.body, self.facts, architecture)

    def encode(self, embedded: Tensor, inputs: dict[str, Tensor]) -> Features:
        """Return the cells of all maps, and the mean of the coarsest map."""
        del inputs
        maps = [flatten_map(each) for each in self.body(embedded).values()]
        sequence = torch.cat(maps, dim=1)
        return Features(sequence, all_true(sequence), maps[-1].mean(dim=1))

    def detection_head(self, labels: int, limits: Limits) -> DetectionHead:
        """Return what the network has behind its maps, pretrained but for the layers that depend on the labels."""
        network = _network(self.config.model, labels)
        own = network.state_dict()
        fitting = {name: value for name, value in self._head_weights.items() if own[name].shape == value.shape}
        network.load_state_dict({**own, **fitting})
        return TorchvisionHead(network, Maps(0, self.map_sides), self._names, self.facts.image_size, limits)

    def enable_gradient_checkpointing(self) -> None:
        """Recompute the stages in front of the pyramid in the backward pass."""
        trunk: Any = self.body
        checkpoint_stages([part for part in trunk.body.children() if any(True for _ in part.children())])


def _names() -> list[str]:
    known = torchvision.models.list_models(module=torchvision.models.detection)
    return [name for name in known if name.startswith(FAMILIES)]


def _network(model: str, labels: int) -> nn.Module:
    """Return a network with new weights.

    Raises:
        UnknownNameError: there is none of this name.
    """
    if model not in _names():
        raise UnknownNameError(
            f"torchvision-detection has no network '{model}'{nearest(model, _names())}; it has {', '.join(_names())}"
        )
    network: nn.Module = torchvision.models.get_model(
        model, weights=None, weights_backbone=None, num_classes=labels + 1
    )
    return network


def _body(model: str) -> nn.Module:
    network: Any = _network(model, 1)
    body: nn.Module = network.backbone
    return body
