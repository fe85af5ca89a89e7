"""A network's weights as a safetensors file, with one clear line when a file does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from headstock_registry import HeadstockError

__all__ = ["WEIGHTS_FILE", "load_exactly", "load_weights", "read_weights", "save_weights"]

WEIGHTS_FILE = "model.safetensors"
"""The name under which transformers, too, looks for weights."""


def save_weights(network: nn.Module, directory: Path) -> None:
    """Write all parameters and buffers of a network to ``model.safetensors``."""
    state = {name: value.detach().contiguous().cpu() for name, value in network.state_dict().items()}
    save_file(state, directory / WEIGHTS_FILE, metadata={"format": "pt"})


def load_weights(network: nn.Module, directory: Path) -> None:
    """Put what :func:`save_weights` wrote into a network of the same shape.

    Raises:
        HeadstockError: the file is missing, damaged or of another network.
    """
    path = directory / WEIGHTS_FILE
    load_exactly(network, read_weights(path), str(path))


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
