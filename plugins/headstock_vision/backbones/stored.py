"""Files of backbones that are not from transformers: weights in ``model.safetensors``, facts in ``config.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from headstock import HeadstockError
from headstock.kits.weights import save_weights
from headstock_vision.backbones.base import ImageFacts

CONFIG_FILE = "config.json"


def write_stored(directory: Path, network: nn.Module, facts: ImageFacts, architecture: Mapping[str, Any]) -> None:
    """Write a network's weights, and as JSON what it is and how it wants its images."""
    save_weights(network, directory)
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
