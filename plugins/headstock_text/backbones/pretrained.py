"""Loads a pretrained encoder and its tokenizer from the Hub or a folder, with one clear line when that cannot be."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import utils as hub_utils
from transformers import (
    MODEL_FOR_TEXT_ENCODING_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForTextEncoding,
    AutoTokenizer,
)
from transformers.utils import logging as transformers_logging

from headstock import HeadstockError

SHOWN_NAMES = 3
"""How many missing weights an error names."""


def load_pretrained(name: str, revision: str | None, trust_remote_code: bool, pooler: bool) -> tuple[Any, Any]:
    """Return the model (float32, evaluation mode) and the fast tokenizer of a Hub id or a folder.

    Args:
        name: Hub id or folder.
        revision: Branch, tag or commit on the Hub.
        trust_remote_code: Whether Python code that lies beside the weights may run.
        pooler: Whether the model's own pooler is wanted; without, it is dropped, so that no weight is left untrained.

    Raises:
        HeadstockError: there is no such model, it cannot be reached or read, it has no fast tokenizer, or weights of
            the encoder (or of a wanted pooler) are missing.
    """
    place = _place(name, revision)
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    if revision is not None:
        options["revision"] = revision
    with quiet():
        # transformers and the Hub client raise errors of a dozen kinds here, all of them about this model.
        try:
            config = AutoConfig.from_pretrained(place, **options)
            tokenizer = AutoTokenizer.from_pretrained(place, **options)
            # Of a model that also has a decoder (T5) only the encoder is wanted.
            encoder = type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING
            model, info = (AutoModelForTextEncoding if encoder else AutoModel).from_pretrained(
                place,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                output_loading_info=True,
                **options,
            )
        except Exception as error:
            raise HeadstockError(f"cannot load '{name}': {_essence(error, name)}") from error
    if not encoder and getattr(model.config, "is_encoder_decoder", False):
        raise HeadstockError(f"'{name}' is a {type(model).__name__}, an encoder with a decoder; take an encoder alone")
    _check_tokenizer(name, tokenizer, _check_model(name, model))
    _settle_pooler(name, model, set(info["missing_keys"]), pooler)
    return model, tokenizer


def _place(name: str, revision: str | None) -> str:
    path = Path(name).expanduser()
    if path.is_dir():
        if revision is not None:
            raise HeadstockError(f"revision '{revision}' is for models on the Hub, but '{name}' is a folder")
        return str(path)
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise HeadstockError(f"cannot load '{name}': there is no such folder")
    return name


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from reporting what is checked here; bars of downloads stay."""
    # Both modules are without types for these.
    logging: Any = transformers_logging
    hub: Any = hub_utils
    verbosity = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    hub_bars = not hub.are_progress_bars_disabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if hub_bars:
        hub.enable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
        if not hub_bars:
            hub.disable_progress_bars()


def _essence(error: Exception, name: str) -> str:
    """Return the first line of an error, and what can be done about it where that is known."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = lines[0].rstrip(".") if lines else type(error).__name__
    if "custom code" in first:
        return "it comes with Python code of its own; set trust_remote_code to true if you trust that code"
    if "connect to" in first:
        return f"there is no folder of that name, the Hub cannot be reached, and no copy is in the cache ({first})"
    if "safetensors" in first and ("does not appear to have" in first or "no file named" in first):
        return "it has no weights in safetensors format (model.safetensors), the only format that is read"
    if "not a valid model identifier" in first:
        return "there is no folder of that name and no such model on the Hub (a private one needs 'hf auth login')"
    return first


def _check_model(name: str, model: Any) -> int:
    """Return how many token embeddings a model has, after a look at whether it can be driven by them."""
    parameters = inspect.signature(model.forward).parameters
    for needed in ("inputs_embeds", "attention_mask"):
        if needed not in parameters:
            raise HeadstockError(f"{type(model).__name__} ('{name}') cannot be a text backbone: it takes no {needed}")
    return int(model.get_input_embeddings().num_embeddings)


def _check_tokenizer(name: str, tokenizer: Any, rows: int) -> None:
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
    encoder = sorted(missing - own)
    if encoder:
        shown = ", ".join(encoder[:SHOWN_NAMES]) + (", …" if len(encoder) > SHOWN_NAMES else "")
        raise HeadstockError(f"'{name}' lacks {len(encoder)} weights of {type(model).__name__}: {shown}")
    has_pooler = getattr(model, "pooler", None) is not None
    if wanted and not has_pooler:
        raise HeadstockError(f"{type(model).__name__} has no pooler of its own; set pooling to mean or cls")
    if wanted and own:
        raise HeadstockError(f"'{name}' has no weights for its pooler; set pooling to mean or cls")
    if not wanted and "add_pooling_layer" in inspect.signature(type(model).__init__).parameters:
        # What add_pooling_layer=False would have done; that argument is an error for classes that do not know it.
        model.pooler = None
