"""Chooses and checks the layers that a method acts on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from headstock import HeadstockError, note
from headstock_adapters.lora_targets import uncalled
from headstock_adapters.peft.methods import acts_on, kinds_of_layer
from headstock_adapters.peft.sizes import divides
from headstock_registry import nearest


def choose_layers(
    method: str, body: nn.Module, names: str | Sequence[str], fixed: Sequence[nn.Module] = ()
) -> list[str]:
    """Return the full names of the layers that a method is to act on.

    Args:
        method: The method.
        body: The network.
        names: ``"auto"`` for all that the method can act on, or names of layers; a name also means every layer whose
            full name ends in ``.name``.
        fixed: Parts of it that stay as they are.

    Raises:
        HeadstockError: the network has no layer for the method, or a name is wrong.
    """
    layers = {name: module for name, module in body.named_modules() if name}
    passed_by = _out_of_reach(body, fixed)
    fitting = [
        name
        for name, layer in layers.items()
        if acts_on(method, layer) and id(layer) not in passed_by and getattr(layer, "weight", None) is not None
    ]
    usable = [name for name in fitting if divides(method, layers[name])]
    if not isinstance(names, str):
        return list(dict.fromkeys(full for name in names for full in _meant(method, name, layers, usable)))
    if method == "trainable_tokens":
        usable = [name for name in usable if layers[name] is _token_table(body)]
    note(f"layers that method '{method}' leaves as they are, for they have odd sizes", len(fitting) - len(usable))
    linear = [name for name in usable if isinstance(layers[name], nn.Linear)]
    if linear and isinstance(body, PreTrainedModel):
        return linear  # transformers reads strides and the like from its convolutions, which a wrapper has not
    if not usable:
        raise HeadstockError(
            f"method '{method}' of adapter 'peft' finds no {kinds_of_layer(method)} in the backbone's "
            f"{type(body).__name__}; {_instead(body)}"
        )
    return usable


def norms_of(body: nn.Module, fixed: Sequence[nn.Module] = ()) -> list[str]:
    """Return the full names of the normalisation layers that have weights.

    Raises:
        HeadstockError: there are none.
    """
    kept = {id(module) for part in fixed for module in part.modules()}
    found = [
        name
        for name, layer in body.named_modules()
        if acts_on("ln_tuning", layer) and id(layer) not in kept and getattr(layer, "weight", None) is not None
    ]
    if not found:
        raise HeadstockError(
            f"adapter.also_train: the backbone's {type(body).__name__} has no normalisation layer with weights; "
            "leave it out"
        )
    return found


def _instead(body: nn.Module) -> str:
    """Return what does go."""
    found = [
        method
        for method in ("lora", "ln_tuning")
        if any(acts_on(method, layer) for name, layer in body.named_modules() if name)
    ]
    if found:
        return f"take method {' or '.join(found)}"
    if any(isinstance(layer, Conv1D) for layer in body.modules()):
        return "take adapter 'lora'"
    return "no method of peft fits it; take adapter 'full' or 'linear-probe'"


def _out_of_reach(body: nn.Module, fixed: Sequence[nn.Module]) -> set[int]:
    """Return layers that are never called, stay as they are, or give tokens to a head of the network's own."""
    beyond = {id(module) for part in fixed for module in part.modules()}
    beyond |= {id(body.get_submodule(name)) for name in uncalled(body)}
    if isinstance(body, PreTrainedModel):
        beyond.add(id(body.get_output_embeddings()))  # type: ignore[no-untyped-call]
    return beyond


def _token_table(body: nn.Module) -> Any:
    return body.get_input_embeddings() if isinstance(body, PreTrainedModel) else None


def _meant(method: str, name: str, layers: dict[str, nn.Module], usable: Sequence[str]) -> list[str]:
    found = [full for full in layers if full == name or full.endswith(f".{name}")]
    if not found:
        ends = {full.rsplit(".", 1)[-1] for full in usable}
        raise HeadstockError(f"adapter.target_modules: the backbone has no layer '{name}'{nearest(name, ends)}")
    fitting = [full for full in found if full in usable]
    if not fitting:
        kind = type(layers[found[0]]).__name__
        raise HeadstockError(
            f"adapter.target_modules: method '{method}' has no effect on '{found[0]}', a {kind} of the backbone; it "
            f"takes: {', '.join(usable[:6]) or 'no layer of this backbone'}"
        )
    return fitting
