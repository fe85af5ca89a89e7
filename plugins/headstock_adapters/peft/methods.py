"""Which methods the installed peft has, what each one acts on, and what it wants where nothing else is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import peft
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from torch import nn

from headstock import HeadstockError
from headstock_registry import nearest

CONFIGS: Mapping[str, type[peft.PeftConfig]] = {
    kind.value.lower(): config for kind, config in sorted(PEFT_TYPE_TO_CONFIG_MAPPING.items())
}
"""peft's class of settings for each method, by the method's name: peft's own, in small letters."""

REFUSED: Mapping[str, str] = {
    "adaption_prompt": "it puts prompts into the attention of Llama, Mistral and GPT-2, which generate text; take "
    "prefix_tuning",
    "cpt": "it tunes prompts for the text that a model goes on to write, and a backbone writes none; take "
    "prompt_tuning",
    "multitask_prompt_tuning": "it wants to be told a task with each example, and a run has one; take prompt_tuning",
    "shadow": "it runs a second network beside the blocks of a decoder, and a backbone is an encoder; take lora",
    "xlora": "it mixes LoRAs that were trained before, and a run begins with none; take adapter 'lora'",
}
"""Methods that mean nothing for a backbone, and why."""

PROMPTS = ("cartridge", "p_tuning", "prefix_tuning", "prompt_tuning")
"""Methods that train vectors beside the tokens of a text, not layers."""
PREFIXES = ("cartridge", "prefix_tuning")
"""Those whose vectors are keys and values of attention, not tokens."""

NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.modules.batchnorm._BatchNorm)
"""Normalisation layers of torch; those of other libraries are known by their names."""

ON_CONVOLUTIONS: Mapping[str, tuple[type[nn.Module], ...]] = {
    "adalora": (nn.Conv2d,),
    "boft": (nn.Conv2d,),
    "hira": (nn.Conv1d, nn.Conv2d),
    "hra": (nn.Conv2d,),
    "ia3": (nn.Conv2d,),
    "loha": (nn.Conv1d, nn.Conv2d),
    "lokr": (nn.Conv1d, nn.Conv2d),
    "lora": (nn.Conv1d, nn.Conv2d),
}
"""Methods that act on convolutions too. OFT would lose their stride and padding, so it is not among them."""

BESIDE = ("adalora", "ia3", "loha", "lokr", "lora")
"""Of these, the methods that leave to a layer what it does with its weight; others take the weight as it is."""

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    # Without a schedule of ranks, which nothing calls, all that it must be is more than none.
    "adalora": {"total_step": 1},
    "c3a": {"init_weights": True},
    "cartridge": {"num_virtual_tokens": 20},
    "fourierft": {"init_weights": True},
    "frod": {"progressbar": False},
    "ia3": {"feedforward_modules": []},
    "p_tuning": {"num_virtual_tokens": 20},
    "prefix_tuning": {"num_virtual_tokens": 20},
    "prompt_tuning": {"num_virtual_tokens": 20},
}
"""Where peft has no default, or one that changes the features at once."""

REMARKS: Mapping[str, str] = {
    "adalora": "layers whose rank stays at init_r, for nothing cuts AdaLoRA's ranks between the steps",
}
"""What a method does not do to layers here."""

HEAD_RATE = 1e-3
"""Learning rate of the head beside any method."""
RATE = 1e-3
"""Learning rate of a method that was not measured."""
RATES: Mapping[str, float] = {
    "adalora": 1e-2,
    "adamss": 1e-2,
    "beft": 3e-3,
    "c3a": 0.3,
    "fourierft": 0.1,
    "ia3": 3e-2,
    "ln_tuning": 3e-3,
    "lora": 1e-3,
    "pvera": 1e-2,
    "road": 1e-2,
    "unilora": 3e-2,
    "vblora": 3e-3,
    "vera": 3e-2,
}
"""Learning rates of the others: a third of what was best in 60 steps, for a run is longer, see ``benchmarks/adapters``.

The one of C3A is also that of peft's own comparison (``method_comparison``), which has 5e-3 for IA3 with a model a
hundred times as large.
"""


def method_name(text: str) -> str:
    """Return a method's name as it is written here: ``IA3`` and ``prefix-tuning`` become ``ia3`` and ``prefix_tuning``.

    Raises:
        HeadstockError: peft has no such method, or it means nothing for a backbone.
    """
    name = text.strip().lower().replace("-", "_")
    if name not in CONFIGS:
        raise HeadstockError(f"peft {peft.__version__} has no method '{text}'{nearest(name, CONFIGS)}")
    if name in REFUSED:
        raise HeadstockError(f"method '{name}' does not fit a backbone: {REFUSED[name]}")
    return name


def acts_on(method: str, layer: nn.Module) -> bool:
    """Return whether a method can tune a layer, as far as its kind tells."""
    if method == "trainable_tokens":
        return isinstance(layer, nn.Embedding)
    if method == "ln_tuning":
        return isinstance(layer, NORMS) or type(layer).__name__.endswith(("LayerNorm", "RMSNorm"))
    if type(layer) is nn.Linear:
        return method != "beft" or layer.bias is not None
    kinds = ON_CONVOLUTIONS.get(method, ())
    if not isinstance(layer, kinds):
        return False
    groups: Any = layer.groups
    if method in BESIDE:
        return bool(groups == 1)
    # What takes the weight as it is has one number for each setting, though there may be two.
    settings = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    square = all(isinstance(each, tuple) and len(set(each)) == 1 for each in settings)
    return type(layer) in kinds and square and bool(groups == 1)


def kinds_of_layer(method: str) -> str:
    """Return what a method acts on, in words."""
    if method == "trainable_tokens":
        return "table of token vectors"
    if method == "ln_tuning":
        return "normalisation layer with weights"
    kinds = ON_CONVOLUTIONS.get(method, ())
    names = [{nn.Conv1d: "one-dimensional", nn.Conv2d: "two-dimensional"}[kind] for kind in kinds]  # type: ignore[index]
    return ("linear layer with a bias" if method == "beft" else "linear layer") + (
        f" and no ungrouped {' or '.join(names)} convolution" if names else ""
    )
