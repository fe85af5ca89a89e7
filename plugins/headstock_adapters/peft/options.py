"""Checks the options of a method against the dataclass in which peft declares them."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import peft
from pydantic import TypeAdapter, ValidationError

from headstock import HeadstockError, shown
from headstock_adapters.peft.methods import CONFIGS, PROMPTS, SETTINGS
from headstock_adapters.wrapping import first_line, quiet
from headstock_registry import nearest

BACKBONE = "the backbone says that; leave it out"
NO_PATTERNS = "layers are named, not described by patterns; say adapter.target_modules"
NO_TASK = "a backbone has no such task or head; leave it out"
NO_BASE = "it changes the backbone's own weights, which a run names instead of keeping; leave it out"
NO_PART = "it goes beyond what is put into a backbone once; leave it out"
NO_STEPS = "nothing calls peft between the steps; leave it out"

FOREIGN: Mapping[str, str] = {
    "alora_invocation_tokens": NO_TASK,
    "alpha_pattern": NO_PATTERNS,
    "arrow_config": NO_TASK,
    "asa_importance_beta": NO_STEPS,
    "asa_schedule_exponent": NO_STEPS,
    "asa_target_subspaces": NO_STEPS,
    "asa_uncertainty_beta": NO_STEPS,
    "auto_mapping": BACKBONE,
    "base_model_name_or_path": BACKBONE,
    "beta1": NO_STEPS,
    "beta2": NO_STEPS,
    "bias": "it trains the backbone's own bias terms; take adapter 'bitfit'",
    "block_size_pattern": NO_PATTERNS,
    "corda_config": NO_BASE,
    "deltaT": NO_STEPS,
    "ensure_weight_tying": BACKBONE,
    "eva_config": NO_BASE,
    "exclude_modules": "say in adapter.target_modules which layers are tuned",
    "fan_in_fan_out": BACKBONE,
    "final_warmup": NO_STEPS,
    "inference_mode": "a run trains, and what it saved is loaded for use; leave it out",
    "init_warmup": NO_STEPS,
    "kasa_config": NO_PART,
    "lambda_pattern": NO_PATTERNS,
    "layer_replication": "it repeats the backbone's blocks; leave it out",
    "layers_pattern": NO_PATTERNS,
    "layers_to_transform": NO_PATTERNS,
    "loftq_config": NO_BASE,
    "lora_ga_config": NO_BASE,
    "mask_interval": NO_STEPS,
    "megatron_config": BACKBONE,
    "megatron_core": BACKBONE,
    "modules_to_save": "the task's head is trained and kept in any case; leave it out",
    "monteclora_config": NO_PART,
    "n_frequency_pattern": NO_PATTERNS,
    "num_attention_heads": BACKBONE,
    "num_layers": BACKBONE,
    "num_transformer_submodules": BACKBONE,
    "orth_reg_weight": NO_STEPS,
    "peft_type": "say it as adapter.method",
    "peft_version": "the installed one is taken; leave it out",
    "progressbar": "nothing is shown by it; leave it out",
    "prompt_tuning_init_text": "prompts start as random tokens here; leave it out",
    "rank_pattern": NO_PATTERNS,
    "revision": BACKBONE,
    "runtime_config": NO_PART,
    "runtime_offload_base_weight": NO_PART,
    "target_modules": "say it as adapter.target_modules",
    "target_parameters": NO_PATTERNS,
    "target_r": NO_STEPS,
    "target_svd_config": NO_PATTERNS,
    "task_type": NO_TASK,
    "tfinal": NO_STEPS,
    "tinit": NO_STEPS,
    "token_dim": BACKBONE,
    "tokenizer_kwargs": BACKBONE,
    "tokenizer_name_or_path": BACKBONE,
    "total_step": NO_STEPS,
    "trainable_token_indices": "take method trainable_tokens",
    "use_asa": NO_STEPS,
    "use_bdlora": NO_PART,
    "velora_config": NO_PART,
}
"""Options of peft's that mean nothing for an encoder in a run, or are said elsewhere, and what to do instead."""

REQUIRED = {("trainable_tokens", "token_indices")}
"""Options that have an empty default, with which nothing would be trained."""

PLAIN_STARTS = ("gaussian", "orthogonal")
"""Ways to start LoRA's matrices, beside true and false, that leave the backbone's weights alone."""


def _foreign(method: str, name: str) -> str | None:
    """Return why an option means nothing here, if so."""
    return "AdaLoRA's rank is called init_r" if (method, name) == ("adalora", "r") else FOREIGN.get(name)


def settings_of(method: str) -> dict[str, Any]:
    """Return the names of a method's options with peft's defaults, ``...`` where one has to be given."""
    made = dataclasses.MISSING
    found: dict[str, Any] = {}
    for field in dataclasses.fields(CONFIGS[method]):
        if not _foreign(method, field.name):
            factory = None if field.default_factory is made else field.default_factory
            default = factory() if factory is not None else field.default
            needed = default is made or (method, field.name) in REQUIRED
            found[field.name] = SETTINGS.get(method, {}).get(field.name, ... if needed else default)
    return found


def checked_options(method: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options of a method, each known to peft and of the right kind.

    Args:
        method: A name among :data:`CONFIGS`.
        options: JSON values by name.

    Raises:
        HeadstockError: an option that the method has not, that means nothing here, is missing, or has a wrong value.
    """
    known = settings_of(method)
    found = {}
    for name, value in options.items():
        if _foreign(method, name):
            raise HeadstockError(f"adapter.options.{name} means nothing here: {_foreign(method, name)}")
        if name not in known:
            raise HeadstockError(f"unknown option 'adapter.options.{name}' of method '{method}'{nearest(name, known)}")
        found[name] = _checked(method, name, value)
    for name, default in known.items():
        if default is ... and name not in found:
            raise HeadstockError(f"'adapter.options.{name}' is required by method '{method}'")
    if found.get("init_lora_weights", True) not in (True, False, *PLAIN_STARTS):
        raise HeadstockError(f"adapter.options.init_lora_weights={found['init_lora_weights']}: {NO_BASE}")
    config_for(method, found, ["layer"])
    return found


def takes_copies(method: str) -> bool:
    """Return whether beside a method copies of other layers can be trained."""
    fields = {field.name for field in dataclasses.fields(CONFIGS[method])}
    return "modules_to_save" in fields and method not in (*PROMPTS, "ln_tuning")


def config_for(
    method: str, options: Mapping[str, Any], targets: list[str], copies: Sequence[str] = ()
) -> peft.PeftConfig:
    """Return peft's settings.

    Args:
        method: The method.
        options: Its checked options.
        targets: Full names of the layers that it acts on.
        copies: Full names of layers of which copies are trained beside.

    Raises:
        HeadstockError: peft does not take these options together.
    """
    values = {**SETTINGS.get(method, {}), **options}
    if method in PROMPTS:
        values["task_type"] = "FEATURE_EXTRACTION"
    else:
        values["target_modules"] = targets
    if copies:
        values["modules_to_save"] = list(copies)
    try:
        with quiet():
            return CONFIGS[method](**values)
    except (TypeError, ValueError, ImportError) as error:
        raise HeadstockError(f"adapter.options of method '{method}': {first_line(error)}") from error


def _checked(method: str, name: str, value: Any) -> Any:
    try:
        return _kind(method, name).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        wanted = list(dict.fromkeys(str(each["msg"]).removeprefix("Input should be ") for each in error.errors()))
        raise HeadstockError(
            f"'adapter.options.{name}' of method '{method}' should be {' or '.join(wanted)}, got {shown(value)}"
        ) from error


@cache
def _kind(method: str, name: str) -> TypeAdapter[Any]:
    return TypeAdapter(typing.get_type_hints(CONFIGS[method])[name])
