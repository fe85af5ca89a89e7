"""Writes an adapter's files as peft lays them, and reads ``adapter_config.json`` as data: names and numbers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import peft
from peft.utils import CONFIG_NAME, SAFETENSORS_WEIGHTS_NAME
from pydantic import TypeAdapter, ValidationError
from torch import nn

from headstock import HeadstockError, read_bytes, shown
from headstock_adapters.lora_files import TOLD
from headstock_adapters.peft.methods import PROMPTS
from headstock_adapters.peft.options import checked_options, config_for, settings_of

LARGEST = 2**20
"""What a whole number in the file may be at most, where it sizes something: before memory is taken for it."""
SEEDS = ("key", "seed")
OF_BODY = {"num_attention_heads", "num_layers", "num_transformer_submodules", "token_dim"}
"""What peft finds in the backbone, when saving as when loading."""


def write_adapter(body: Any, directory: Path) -> None:
    """Write ``adapter_config.json`` and ``adapter_model.safetensors``."""
    # Embedding tables never change as a whole; "auto" would ask the Hub whether they were resized.
    body.save_pretrained(str(directory), save_embedding_layers=False)
    # A form with nothing filled in but the place of the base on this machine.
    (directory / "README.md").unlink(missing_ok=True)


def read_settings(
    directory: Path, method: str, options: Mapping[str, Any], body: nn.Module, copies: Sequence[str] = ()
) -> peft.PeftConfig:
    """Return the settings of a saved adapter.

    Args:
        directory: Where :func:`write_adapter` wrote.
        method: The run's method.
        options: The options that the run was given.
        body: The network without the adapter.
        copies: Full names of the layers of which the run trained copies.

    Raises:
        HeadstockError: a file is missing or damaged, is not of this method and these options, or has settings that
            Headstock never writes: patterns, code to import, parts to train beside the method's.
    """
    for name in (CONFIG_NAME, SAFETENSORS_WEIGHTS_NAME):
        if not (directory / name).is_file():
            raise HeadstockError(f"cannot load the adapter: {directory} has no {name}")
    path = directory / CONFIG_NAME
    try:
        saved = TypeAdapter(dict[str, Any]).validate_json(read_bytes(path))
    except ValidationError as error:
        raise HeadstockError(f"cannot load the adapter: {path}: {error.errors()[0]['msg']}") from error
    try:
        return _settings(saved, method, options, body, copies)
    except HeadstockError as error:
        raise HeadstockError(f"cannot load the adapter: {path}: {error}") from error


def _settings(
    saved: Mapping[str, Any], method: str, options: Mapping[str, Any], body: nn.Module, copies: Sequence[str]
) -> peft.PeftConfig:
    if str(saved.get("peft_type")).lower() != method:
        raise HeadstockError(f"peft_type is {shown(saved.get('peft_type'), 42)}, but the run's method is '{method}'")
    known = settings_of(method)
    given = {name: value for name, value in saved.items() if name in known}
    for name, value in given.items():
        seed = any(name.endswith(end) for end in SEEDS)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) > LARGEST and not seed:
            raise HeadstockError(f"{name}: {value} is too large")
        if name in options and value != options[name]:
            raise HeadstockError(f"{name} is {shown(value, 42)}, but the run's is {shown(options[name], 42)}")
    # What peft writes as null is its own default.
    found = checked_options(method, {name: value for name, value in given.items() if value is not None})
    config = config_for(method, found, _layers(saved, method, body), copies)
    if copies and sorted(saved.get("modules_to_save") or []) != sorted(copies):
        raise HeadstockError(
            "modules_to_save are not the normalisation layers of the backbone, as adapter.also_train says"
        )
    _check_rest(saved, known, config)
    config.inference_mode = True
    return config


def _layers(saved: Mapping[str, Any], method: str, body: nn.Module) -> list[str]:
    """Return the layers that the file names; as text, peft would take them for a regular expression.

    Where they are many, peft shortens names to the last parts that tell them from all other layers.
    """
    if method in PROMPTS:
        return []
    layers = saved.get("target_modules")
    if not isinstance(layers, list) or not layers:
        raise HeadstockError(f"target_modules should be a list of names, got {shown(layers, 42)}")
    ends = {end for name, _ in body.named_modules() for end in _ends(name)}
    for name in layers:
        if not isinstance(name, str) or name not in ends:
            raise HeadstockError(f"target_modules: the backbone has no layer {shown(name, 42)}")
    return layers


def _ends(name: str) -> list[str]:
    """Return a full name and all that is left of it when first parts are taken away."""
    parts = name.split(".")
    return [".".join(parts[index:]) for index in range(len(parts))]


def _check_rest(saved: Mapping[str, Any], known: Mapping[str, Any], config: peft.PeftConfig) -> None:
    """Raise for a setting that is not the method's own and not as it always is."""
    usual = {**config.to_dict(), "fan_in_fan_out": None}
    for name, value in saved.items():
        if name in TOLD | {"peft_type", "target_modules"} | OF_BODY or name in known:
            continue
        if value not in (None, False, [], {}, usual.get(name)):
            raise HeadstockError(f"adapter 'peft' has no use for {name}: {shown(value, 42)}")
