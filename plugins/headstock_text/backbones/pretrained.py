"""Loads a pretrained encoder and its tokenizer from the Hub or a folder, with one clear line when that cannot be."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from transformers import (
    MODEL_FOR_TEXT_ENCODING_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForTextEncoding,
    AutoTokenizer,
)

from headstock import HeadstockError
from headstock.kits.pretrained import address, loading, require_weights


def load_pretrained(name: str, revision: str | None, pooler: bool) -> tuple[Any, Any]:
    """Return the model (float32, evaluation mode) and the fast tokenizer of a Hub id or a folder.

    Args:
        name: Hub id or folder.
        revision: Branch, tag or commit on the Hub.
        pooler: Whether the model's own pooler is wanted; without, it is dropped, so that no weight is left untrained.

    Raises:
        HeadstockError: there is no such model, it cannot be reached or read, it has no fast tokenizer, or weights of
            the encoder (or of a wanted pooler) are missing.
    """
    place = address(name, revision)
    with loading(name):
        config = AutoConfig.from_pretrained(**place)
        tokenizer = AutoTokenizer.from_pretrained(**place)
        # Of a model that also has a decoder (T5) only the encoder is wanted.
        encoder = type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING
        model, info = (AutoModelForTextEncoding if encoder else AutoModel).from_pretrained(
            config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **place
        )
    if not encoder and getattr(model.config, "is_encoder_decoder", False):
        raise HeadstockError(f"'{name}' is a {type(model).__name__}, an encoder with a decoder; take an encoder alone")
    check_tokenizer(name, tokenizer, _check_model(name, model))
    _settle_pooler(name, model, set(info["missing_keys"]), pooler)
    return model, tokenizer


def _check_model(name: str, model: Any) -> int:
    """Return how many token embeddings a model has, after a look at whether it can be driven by them."""
    parameters = inspect.signature(model.forward).parameters
    for needed in ("inputs_embeds", "attention_mask"):
        if needed not in parameters:
            raise HeadstockError(f"{type(model).__name__} ('{name}') cannot be a text backbone: it takes no {needed}")
    return int(model.get_input_embeddings().num_embeddings)


def check_tokenizer(name: str, tokenizer: Any, rows: int) -> None:
    """Raise unless a tokenizer is a fast one, has files of its own, and fits a model with ``rows`` embeddings.

    Raises:
        HeadstockError: it is none of these; says which.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise HeadstockError(f"'{name}' has only a slow tokenizer ({type(tokenizer).__name__}); a fast one is needed")
    vocabulary = tokenizer.get_vocab()
    if not set(vocabulary) - set(tokenizer.all_special_tokens):
        # Without its files, transformers makes an empty tokenizer and says nothing.
        raise HeadstockError(f"'{name}' has no tokenizer files (such as tokenizer.json) beside its weights")
    highest = max(vocabulary.values())
    if highest >= rows:
        raise HeadstockError(f"the tokenizer of '{name}' has ids up to {highest}, its model only {rows} embeddings")


def _settle_pooler(name: str, model: Any, missing: set[str], wanted: bool) -> None:
    """Check that all wanted weights were there, and drop a pooler that is not wanted."""
    own = {key for key in missing if key.startswith("pooler.")}
    require_weights(name, model, missing - own)
    has_pooler = getattr(model, "pooler", None) is not None
    if wanted and not has_pooler:
        raise HeadstockError(f"{type(model).__name__} has no pooler of its own; set pooling to mean or cls")
    if wanted and own:
        raise HeadstockError(f"'{name}' has no weights for its pooler; set pooling to mean or cls")
    if not wanted and "add_pooling_layer" in inspect.signature(type(model).__init__).parameters:
        # What add_pooling_layer=False would have done; that argument is an error for classes that do not know it.
        model.pooler = None
