"""Loads a pretrained speech model from the Hub or a folder, with one clear line when that cannot be."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel

from headstock import HeadstockError
from headstock.kits.pretrained import address, loading, require_weights
from headstock_speech.backbones.family import Family
from headstock_speech.backbones.waveform import MODEL_TYPES, WaveformFamily
from headstock_speech.backbones.whisper import KEYS, MaskedWhisperEncoder, WhisperFamily

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
    place = address(name, revision)
    extractors: Any = AutoFeatureExtractor  # without types
    whisper: Any = MaskedWhisperEncoder  # its type leaves out the second value
    with loading(name):
        config = AutoConfig.from_pretrained(**place)
        if config.model_type not in ("whisper", *MODEL_TYPES):
            known = ", ".join((*MODEL_TYPES, "whisper"))
            raise HeadstockError(f"'{name}' is a model of type {config.model_type}; transformers-speech runs {known}")
        extractor = extractors.from_pretrained(**place)
        place |= {"config": config, "dtype": torch.float32, "use_safetensors": True, "output_loading_info": True}
        if config.model_type == "whisper":
            body, info = whisper.from_pretrained(key_mapping=KEYS, **place)
        else:
            config.apply_spec_augment = False
            body, info = AutoModel.from_pretrained(**place)
    require_weights(name, body, set(info["missing_keys"]) - UNUSED)
    family = WhisperFamily(config, extractor, silence_seconds) if config.model_type == "whisper" else None
    return body, family or WaveformFamily(body, extractor)
