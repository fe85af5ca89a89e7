"""Chooses and checks the layers that low-rank matrices are added to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from headstock import HeadstockError

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Embedding, Conv1D)
"""Layer types that a name in ``target_modules`` may mean."""


class Targets(NamedTuple):
    """What peft's ``LoraConfig`` takes as ``target_modules`` and ``exclude_modules``."""

    wanted: str | list[str]
    excluded: list[str] | None


def choose_targets(body: nn.Module, names: str | Sequence[str], fixed: Sequence[nn.Module] = ()) -> Targets:
    """Say which layers of a network to adapt.

    Args:
        body: The network.
        names: ``"auto"``, or names of layers; a name also means every layer whose full name ends in ``.name``.
        fixed: Parts of it that stay as they are.

    Returns:
        For ``"auto"``: ``"all-linear"`` for a model of transformers that has linear layers, else the full names of all
        linear layers and ungrouped convolutions. Otherwise the given names. Layers that are never called, and those in
        fixed parts, are excluded.

    Raises:
        HeadstockError: nothing to adapt, a name without a layer, or a layer that LoRA does not fit.
    """
    layers = {name: module for name, module in body.named_modules() if name}
    passed_by = uncalled(body)
    kept = {id(module) for part in fixed for module in part.modules()}
    excluded = passed_by + [
        name for name, module in layers.items() if id(module) in kept and isinstance(module, LAYERS)
    ]
    if not isinstance(names, str):
        for name in names:
            _check(name, layers, passed_by, excluded)
        return Targets(list(names), excluded or None)
    if isinstance(body, PreTrainedModel) and any(isinstance(module, nn.Linear | Conv1D) for module in layers.values()):
        return Targets("all-linear", excluded or None)
    found = [name for name, module in layers.items() if _fits(module) and name not in excluded]
    if not found:
        raise HeadstockError(
            f"adapter 'lora' finds no linear layer and no ungrouped convolution in the backbone's {type(body).__name__}"
            "; take adapter 'full' or 'linear-probe'"
        )
    return Targets(found, None)


def uncalled(body: nn.Module) -> list[str]:
    """Return the names of linear layers whose weights are read but which are never called: LoRA would have no effect.

    torch's multi-head attention treats its output projection so, WavLM's attention in transformers all four.
    """
    found = []
    for name, module in body.named_modules():
        if isinstance(module, nn.MultiheadAttention):
            found.append(f"{name}.out_proj")
        elif type(module).__name__ == "WavLMAttention":
            found += [f"{name}.{projection}" for projection in ("q_proj", "k_proj", "v_proj", "out_proj")]
    return found


def _fits(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or (isinstance(module, nn.Conv1d | nn.Conv2d) and module.groups == 1)


def _check(name: str, layers: dict[str, nn.Module], passed_by: Sequence[str], excluded: Sequence[str]) -> None:
    meant = {full: module for full, module in layers.items() if full == name or full.endswith(f".{name}")}
    if not meant:
        last = {full.rsplit(".", 1)[-1] for full, module in layers.items() if isinstance(module, LAYERS)}
        shown = ", ".join(sorted(last)[:12]) or "none that LoRA fits"
        raise HeadstockError(f"adapter.target_modules: the backbone has no layer '{name}'; its layers: {shown}")
    for full, module in meant.items():
        if not isinstance(module, LAYERS):
            kinds = ", ".join(layer.__name__ for layer in LAYERS)
            raise HeadstockError(f"adapter.target_modules: '{full}' is a {type(module).__name__}; LoRA fits {kinds}")
    if set(meant) <= set(passed_by):
        raise HeadstockError(
            f"adapter.target_modules: LoRA on '{name}' would have no effect, because its attention layer reads the "
            "weights without calling it"
        )
    if set(meant) <= set(excluded):
        raise HeadstockError(f"adapter.target_modules: '{name}' is only in parts that the backbone keeps as they are")
