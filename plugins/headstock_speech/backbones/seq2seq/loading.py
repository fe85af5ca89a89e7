"""Loads a speech encoder-decoder from the Hub or a folder, with one clear line when that cannot be."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from transformers import AutoConfig, AutoFeatureExtractor, AutoModelForSpeechSeq2Seq, AutoTokenizer

from headstock import HeadstockError
from headstock.kits.pretrained import address, loading, require_weights
from headstock_speech.backbones.family import Family
from headstock_speech.backbones.seq2seq.families import MoonshineWhole, Speech2TextWhole, WhisperWhole

MODEL_TYPES = ("whisper", "moonshine", "speech_to_text")


class Loaded(NamedTuple):
    """A model (float32, evaluation mode), its tokenizer, and how its encoder is fed and run."""

    model: Any
    tokenizer: Any
    family: Family


def load_speech_seq2seq(name: str, revision: str | None, silence_seconds: float) -> Loaded:
    """Return what a Hub id or folder holds.

    Raises:
        HeadstockError: there is no such model, it cannot be reached or read, it is of no known family, weights or
            tokenizer are missing, or the tokens do not fit the model.
    """
    place = address(name, revision)
    extractors: Any = AutoFeatureExtractor  # without types
    models: Any = AutoModelForSpeechSeq2Seq
    with loading(name):
        config = AutoConfig.from_pretrained(**place)
        if config.model_type not in MODEL_TYPES:
            known = ", ".join(MODEL_TYPES)
            raise HeadstockError(f"'{name}' is a model of type {config.model_type}; speech-seq2seq runs {known}")
        extractor = extractors.from_pretrained(**place)
        tokenizer: Any = AutoTokenizer.from_pretrained(**place)
        if config.model_type == "whisper":
            config.apply_spec_augment = False
        model, info = models.from_pretrained(
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            output_loading_info=True,
            **place,
        )
    require_weights(name, model, info["missing_keys"])
    _check_tokenizer(name, tokenizer, model)
    if config.model_type == "whisper":
        return Loaded(model, tokenizer, WhisperWhole(config, extractor, silence_seconds))
    family = MoonshineWhole if config.model_type == "moonshine" else Speech2TextWhole
    return Loaded(model, tokenizer, family(model, extractor))


def _check_tokenizer(name: str, tokenizer: Any, model: Any) -> None:
    vocabulary = tokenizer.get_vocab()
    if not set(vocabulary) - set(tokenizer.all_special_tokens):
        # Without its files, transformers makes an empty tokenizer and says nothing.
        raise HeadstockError(f"'{name}' has no tokenizer files (such as tokenizer.json) beside its weights")
    rows = int(model.config.vocab_size)
    highest = max(vocabulary.values())
    if highest >= rows:
        raise HeadstockError(f"the tokenizer of '{name}' has ids up to {highest}, its model only {rows} embeddings")
    if getattr(tokenizer, "lang_code_to_id", None):
        raise HeadstockError(
            f"'{name}' writes many languages, by marks that cannot be chosen here; take a model for one language"
        )
