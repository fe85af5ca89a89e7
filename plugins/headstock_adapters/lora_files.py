"""Reads ``adapter_config.json`` as data: names and numbers, nothing that peft would evaluate, import or fetch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import peft
from peft.utils import CONFIG_NAME, SAFETENSORS_WEIGHTS_NAME
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open

from headstock import HeadstockError, read_bytes, shown

TOLD = {"auto_mapping", "base_model_name_or_path", "inference_mode", "peft_version", "revision", "task_type"}
"""Keys that tell where an adapter comes from; nothing is done with them."""


class SavedLora(BaseModel):
    """What is used of the file. Layers are names: as text, peft would take them for a regular expression."""

    model_config = ConfigDict(frozen=True, extra="allow")

    peft_type: Literal["LORA"]
    r: int = Field(ge=1)
    lora_alpha: float
    lora_dropout: float = Field(ge=0, lt=1)
    target_modules: list[str]
    exclude_modules: list[str] | None = None
    use_dora: bool = False
    use_rslora: bool = False
    fan_in_fan_out: bool = False


def read_lora(directory: Path) -> peft.LoraConfig:
    """Return the settings of saved low-rank matrices.

    Raises:
        HeadstockError: a file is missing or damaged, or has settings that Headstock never writes: patterns, code to
            import, parts to train beside the matrices.
    """
    for name in (CONFIG_NAME, SAFETENSORS_WEIGHTS_NAME):
        if not (directory / name).is_file():
            raise HeadstockError(f"cannot load the adapter: {directory} has no {name}")
    path = directory / CONFIG_NAME
    try:
        saved = SavedLora.model_validate_json(read_bytes(path))
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(map(str, problem["loc"]))
        raise HeadstockError(f"cannot load the adapter: {path}: {f'{key}: ' if key else ''}{problem['msg']}") from error
    usual: dict[str, Any] = peft.LoraConfig().to_dict()  # type: ignore[no-untyped-call]
    for key, value in (saved.model_extra or {}).items():
        if key not in TOLD and value not in (None, False, [], {}, usual.get(key)):
            raise HeadstockError(
                f"cannot load the adapter: {path}: adapter 'lora' has no use for {key}: {shown(value, 42)}"
            )
    _check_rank(directory / SAFETENSORS_WEIGHTS_NAME, saved.r)
    values: dict[str, Any] = saved.model_dump(include=set(SavedLora.model_fields) - {"peft_type"})
    return peft.LoraConfig(**values, inference_mode=True)


def _check_rank(path: Path, rank: int) -> None:
    """Raise unless the file's matrices have the rank, before memory is taken for matrices of that rank."""
    try:
        with safe_open(path, "pt") as weights:
            shapes = {name: weights.get_slice(name).get_shape() for name in weights.keys()}  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError) as error:
        raise HeadstockError(f"cannot load the adapter in {path.parent}: {path.name}: {error}") from error
    for name, shape in shapes.items():
        if "lora_A" in name and shape[0] != rank:
            raise HeadstockError(
                f"cannot load the adapter in {path.parent}: r is {rank}, but {name} has {shape[0]} rows"
            )
