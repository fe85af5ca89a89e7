"""Files of backbones that are not from transformers: weights in ``model.safetensors``, facts in ``config.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from headstock import HeadstockError
from headstock_vision.backbones.base import ImageFacts

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"


def write_stored(directory: Path, network: nn.Module, facts: ImageFacts, architecture: Mapping[str, Any]) -> None:
    """Write a network's weights, and as JSON what it is and how it wants its images."""
    state = {name: value.detach().contiguous().cpu() for name, value in network.state_dict().items()}
    save_file(state, directory / WEIGHTS_FILE, metadata={"format": "pt"})
    content = {**architecture, **facts._asdict()}
    (directory / CONFIG_FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_facts(directory: Path) -> ImageFacts:
    """Return the facts that :func:`write_stored` wrote.

    Raises:
        HeadstockError: the file is missing or is not what was written.
    """
    path = directory / CONFIG_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        values = {name: content[name] for name in ImageFacts._fields}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HeadstockError(f"cannot read the backbone's facts from {path}: {error}") from error
    return ImageFacts(**{**values, "mean": tuple(values["mean"]), "std": tuple(values["std"])})


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, floating-point ones as float32.

    Raises:
        HeadstockError: the file is missing or is not safetensors.
    """
    if not path.is_file():
        raise HeadstockError(f"there is no weights file {path}")
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise HeadstockError(f"{path} is not a readable safetensors file: {error}") from error
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def load_exactly(network: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    """Put ``state`` into ``network``.

    Raises:
        HeadstockError: names or shapes differ; the message gives some.
    """
    own = network.state_dict()
    shapes = [name for name in own if name in state and state[name].shape != own[name].shape]
    if shapes:
        name = shapes[0]
        raise HeadstockError(
            f"{origin} does not fit: {name} has shape {list(state[name].shape)}, the network has "
            f"{list(own[name].shape)}{_more(shapes)}"
        )
    # a plain dict carries no version, so torch itself fills in the step counters that old batch norms had not
    with torch.no_grad():
        outcome = network.load_state_dict(dict(state), strict=False)
    problems = [
        f"{kind} {', '.join(names[:3])}{_more(names, 3)}"
        for kind, names in (("lacks", outcome.missing_keys), ("has unknown", outcome.unexpected_keys))
        if names
    ]
    if problems:
        raise HeadstockError(f"{origin} does not fit: it {' and '.join(problems)}")


def _more(names: list[str], shown: int = 1) -> str:
    return f" (and {len(names) - shown} more)" if len(names) > shown else ""
