"""Loads a pretrained speech model from the Hub or a folder, with one clear line when that cannot be."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel
from transformers.utils import logging as transformers_logging

from headstock import HeadstockError
from headstock_speech.backbones.family import Family
from headstock_speech.backbones.waveform import MODEL_TYPES, WaveformFamily
from headstock_speech.backbones.whisper import KEYS, MaskedWhisperEncoder, WhisperFamily

SHOWN_NAMES = 3
"""How many missing weights an error names."""

UNUSED = {"masked_spec_embed"}
"""Weights that may be missing: only the SpecAugment of transformers, which is off, would read them."""


def load_speech_model(name: str, revision: str | None, silence_seconds: float) -> tuple[nn.Module, Family]:
    """Return the model (float32, evaluation mode) of a Hub id or folder, and how its family is run.

    Args:
        name: Hub id or folder.
        revision: Branch, tag or commit on the Hub.
        silence_seconds: Silence behind each clip, for Whisper.

    Raises:
        HeadstockError: there is no such model, it cannot be reached or read, it is of no known family, or weights are
            missing.
    """
    place = _place(name, revision)
    options: dict[str, Any] = {} if revision is None else {"revision": revision}
    with _quiet():
        config = _read(AutoConfig, name, place, **options)
        if config.model_type not in ("whisper", *MODEL_TYPES):
            known = ", ".join((*MODEL_TYPES, "whisper"))
            raise HeadstockError(f"'{name}' is a model of type {config.model_type}; transformers-speech runs {known}")
        extractor = _read(AutoFeatureExtractor, name, place, **options)
        options |= {"config": config, "dtype": torch.float32, "use_safetensors": True, "output_loading_info": True}
        if config.model_type == "whisper":
            body, info = _read(MaskedWhisperEncoder, name, place, key_mapping=KEYS, **options)
        else:
            config.apply_spec_augment = False
            body, info = _read(AutoModel, name, place, **options)
    missing = sorted(set(info["missing_keys"]) - UNUSED)
    if missing:
        shown = ", ".join(missing[:SHOWN_NAMES]) + (", …" if len(missing) > SHOWN_NAMES else "")
        raise HeadstockError(f"'{name}' lacks {len(missing)} weights of {type(body).__name__}: {shown}")
    family = WhisperFamily(config, extractor, silence_seconds) if config.model_type == "whisper" else None
    return body, family or WaveformFamily(body, extractor)


def _place(name: str, revision: str | None) -> str:
    path = Path(name).expanduser()
    if path.is_dir():
        if revision is not None:
            raise HeadstockError(f"revision '{revision}' is for models on the Hub, but '{name}' is a folder")
        return str(path)
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise HeadstockError(f"cannot load '{name}': there is no such folder")
    return name


def _read(reader: Any, name: str, place: str, **options: Any) -> Any:
    # transformers and the Hub client raise errors of a dozen kinds here, all of them about this model.
    try:
        return reader.from_pretrained(place, **options)
    except Exception as error:
        raise HeadstockError(f"cannot load '{name}': {_essence(error)}") from error


def _essence(error: Exception) -> str:
    """Return the first line of an error, and what can be done about it where that is known."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = lines[0].rstrip(".") if lines else type(error).__name__
    if "connect to" in first:
        return f"there is no folder of that name, the Hub cannot be reached, and no copy is in the cache ({first})"
    if "safetensors" in first and ("does not appear to have" in first or "no file named" in first):
        return "it has no weights in safetensors format (model.safetensors), the only format that is read"
    if "not a valid model identifier" in first:
        return "there is no folder of that name and no such model on the Hub (a private one needs 'hf auth login')"
    return first


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from reporting what is checked here."""
    logging: Any = transformers_logging  # without types for these
    verbosity = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
