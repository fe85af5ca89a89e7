"""Makes torchvision's classification networks by name, with weights and without their classifier."""

from __future__ import annotations

import re
from typing import Any

import torchvision
from torch import Tensor
from torchvision.models import WeightsEnum

from headstock import HeadstockError, reason
from headstock.kits import user_path
from headstock.kits.weights import load_exactly, read_weights
from headstock_registry import UnknownNameError, nearest
from headstock_vision.backbones.base import ImageFacts
from headstock_vision.backbones.networks import efficientnet_lite
from headstock_vision.backbones.networks.feature_net import FeatureNet

_HALF = (0.5, 0.5, 0.5)

# Their builders would renormalise ImageNet's mean and deviation to these in front of the network; asking for these in
# the first place comes to the same. Auxiliary classifiers are only for training on ImageNet.
_INCEPTIONS = ("googlenet", "inception_v3")
_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")

# Released DenseNet weights still have the names of an old torchvision: denselayer1.norm.1.weight for …norm1.weight.
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")


def network_names() -> list[str]:
    """Return the names of all networks that :func:`make_network` makes."""
    return [*torchvision.models.list_models(module=torchvision.models), efficientnet_lite.NAME]


def check_name(model: str) -> None:
    """Raise :class:`UnknownNameError`, with the nearest names, unless there is a network of this name."""
    if model not in network_names():
        raise UnknownNameError(f"torchvision has no classification network '{model}'{nearest(model, network_names())}")


def released_weights(model: str, weights: str) -> WeightsEnum:
    """Return torchvision's record of the weights that it has released for a network under this name.

    Raises:
        HeadstockError: there are no such weights; the message says which there are.
    """
    if model == efficientnet_lite.NAME:
        raise HeadstockError(f"torchvision has released no weights for {model}: give the path of a .safetensors file")
    known = torchvision.models.get_model_weights(model)
    if weights == "default":
        return known.DEFAULT
    if weights not in known.__members__:
        names = ", ".join(["none", "default", *(name for name in known.__members__ if name != "DEFAULT")])
        raise UnknownNameError(f"{model} has no weights '{weights}'; choose {names}, or a path to a .safetensors file")
    return known[weights]


def pretraining_facts(model: str, weights: str) -> ImageFacts:
    """Return how released weights want their images; for other weights, and none, what the default ones want.

    Args:
        model: A name from :func:`network_names`.
        weights: "none", a name of released weights, or a path.
    """
    if model == efficientnet_lite.NAME:
        return efficientnet_lite.FACTS
    chosen = released_weights(model, "default" if weights == "none" or is_path(weights) else weights)
    preset = chosen.transforms()
    return ImageFacts(
        image_size=int(preset.crop_size[0]),
        mean=_HALF if model in _INCEPTIONS else tuple(preset.mean),
        std=_HALF if model in _INCEPTIONS else tuple(preset.std),
        interpolation="bicubic" if preset.interpolation.value == "bicubic" else "bilinear",
    )


def is_path(weights: str) -> bool:
    """Tell whether ``weights`` names a file rather than released weights."""
    return weights.endswith(".safetensors") or "/" in weights


def make_network(model: str, image_size: int) -> FeatureNet:
    """Return a network with new weights and without its classifier.

    Raises:
        HeadstockError: the network cannot be made for images of this size.
    """
    if model == efficientnet_lite.NAME:
        return FeatureNet(efficientnet_lite.efficientnet_lite0())
    options: dict[str, Any] = {}
    if model in _INCEPTIONS:
        options = {"aux_logits": False, "init_weights": True}
    elif model.startswith("vit_"):
        options = {"image_size": image_size}
    elif model.startswith("maxvit_"):
        options = {"input_size": (image_size, image_size)}
    try:
        return FeatureNet(torchvision.models.get_model(model, weights=None, **options))
    except (ValueError, RuntimeError, AssertionError) as error:
        raise HeadstockError(f"{model} cannot be made for images of {image_size} pixels: {reason(error)}") from error


def load_pretrained_weights(body: FeatureNet, model: str, weights: str) -> str:
    """Load weights into a network that :func:`make_network` made, and return where they came from.

    Args:
        body: The network.
        model: Its name.
        weights: A name of released weights, or the path of a safetensors file whose tensors are named as torchvision
            names them. The file's classifier, if it has one, is not read.

    Raises:
        HeadstockError: weights cannot be had, or do not fit the network.
    """
    if is_path(weights):
        origin, state = weights, read_weights(user_path(weights, "backbone.weights"))
    else:
        released = released_weights(model, weights)
        origin, state = f"torchvision/{model}/{released.name}", download(released)
    left_out = (f"{body.classifier}.", *_AUXILIARY)
    state = {name: value for name, value in state.items() if not name.startswith(left_out)}
    if model.startswith("densenet"):
        state = {_OLD_DENSENET.sub(r"\1\2", name): value for name, value in state.items()}
    load_exactly(body.network, state, origin)
    return origin


def download(released: WeightsEnum) -> dict[str, Tensor]:
    """Return released weights from torchvision's cache or server; only tensors are read, and the hash is checked."""
    try:
        state = released.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except Exception as error:  # network, disk, hash, archive: all mean that the weights cannot be had
        raise HeadstockError(
            f"cannot fetch weights from {released.url}: {reason(error)}; "
            "backbone.weights can also be 'none' or a local file"
        ) from error
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
