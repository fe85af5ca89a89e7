"""Methods that put trained vectors before the tokens of a text: prompts, and prefixes of keys and values."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from headstock import Backbone, HeadstockError
from headstock_adapters.peft.methods import PREFIXES

CACHES = {"cache", "past_key_values"}
"""What transformers calls the keys and values that a model is given: the new name, which peft has not, and the old."""


def check_body(method: str, backbone: Backbone, count: int) -> None:
    """Raise unless a backbone's body can take vectors beside its tokens.

    Args:
        method: The method.
        backbone: The backbone.
        count: How many vectors.

    Raises:
        HeadstockError: it is no text encoder of transformers, it has no place for the vectors, or too few positions.
    """
    body, kind = backbone.body, type(backbone.body).__name__
    takes = inspect.signature(body.forward).parameters
    text = isinstance(body, PreTrainedModel) and {"input_ids", "inputs_embeds", "attention_mask"} <= set(takes)
    if not text or getattr(body.config, "is_encoder_decoder", False):
        raise HeadstockError(
            f"method '{method}' of adapter 'peft' puts vectors before the tokens of a text encoder of transformers, "
            f"and the backbone's {kind} is none; take method lora or ia3"
        )
    if method in PREFIXES:
        if not CACHES & set(takes):
            raise HeadstockError(
                f"method '{method}' of adapter 'peft' gives attention further keys and values, and the backbone's "
                f"{kind} takes none; take method prompt_tuning"
            )
    elif getattr(body, "pooler", None) is not None:
        raise HeadstockError(
            f"method '{method}' of adapter 'peft' puts vectors before the first token, from which the pooler of the "
            f"backbone's {kind} reads; set backbone.pooling to mean, or take method prefix_tuning"
        )
    limit, longest = _positions(body), getattr(backbone, "max_length", None)
    if limit is not None and isinstance(longest, int) and longest + count > limit:
        raise HeadstockError(
            f"the backbone has {limit} positions, which do not hold {longest} tokens and {count} vectors of method "
            f"'{method}'; set backbone.max_length to {limit - count} or less"
        )


def put_hooks(body: Any, method: str, count: int) -> None:
    """Make a wrapped text encoder take what the plain one takes, and give vectors of its tokens alone.

    Args:
        body: What peft made of the encoder.
        method: The method.
        count: How many vectors there are.
    """
    prefixed = method in PREFIXES
    kinds = _TokenKinds(0 if prefixed else count)
    body.register_forward_pre_hook(kinds.keep, with_kwargs=True)
    body.get_base_model().register_forward_pre_hook(kinds.give, with_kwargs=True)
    if prefixed:
        body.get_base_model().register_forward_pre_hook(_take_prefix, with_kwargs=True)
    else:
        body.register_forward_hook(_Strip(count))


def _positions(body: Any) -> int | None:
    """Return how many tokens a model has positions for; ``None`` where they are relative."""
    limit = getattr(body.config, "max_position_embeddings", None)
    if not isinstance(limit, int) or limit <= 0:
        return None
    words = body.get_input_embeddings()
    for module in body.modules():
        # RoBERTa and its kin count positions from the padding id + 1, and their table must hold that too.
        if isinstance(module, nn.Embedding) and module is not words and module.num_embeddings == limit:
            return limit - (0 if module.padding_idx is None else module.padding_idx + 1)
    return None


class _TokenKinds:
    """Carries the tokens' types past peft, which would drop them with a warning; prompts are of the first type."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.kept: Tensor | None = None

    def keep(self, module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        self.kept = named.get("token_type_ids")
        return given, {name: value for name, value in named.items() if name != "token_type_ids"}

    def give(self, module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        kept, self.kept = self.kept, None
        if kept is None:
            return given, named
        return given, {**named, "token_type_ids": torch.cat([kept.new_zeros(len(kept), self.count), kept], dim=1)}


class _Strip:
    """Takes the vectors' own states out of what the model gives."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __call__(self, module: nn.Module, given: tuple[Any, ...], output: Any) -> Any:
        states: Tensor = output.last_hidden_state
        output.last_hidden_state = states[:, self.count :]
        return output


def _take_prefix(module: nn.Module, given: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    """Hand the prefix to the model by the name that it has for it.

    Raises:
        HeadstockError: gradient checkpointing is on, with which transformers drops keys and values.
    """
    body: Any = module
    # transformers renamed it within version 5, and warns of the old name.
    known = (
        "is_activation_checkpointing" if hasattr(body, "is_activation_checkpointing") else "is_gradient_checkpointing"
    )
    if body.training and getattr(body, known):
        raise HeadstockError("prefixes do not go together with trainer.gradient_checkpointing; leave one of them out")
    if "cache" in inspect.signature(body.forward).parameters:
        named = {"cache" if name == "past_key_values" else name: value for name, value in named.items()}
    return given, named
