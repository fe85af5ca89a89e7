"""Keeps padding out of what a decoder hears: transformers gives no mask to the cross-attention of Whisper."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

NAME = "encoder_attn"
"""What the cross-attention of a decoder's layer is called, in every family here."""


def mask_cross_attention(decoder: nn.Module) -> None:
    """Make every cross-attention of a decoder obey what :func:`set_heard` said last.

    Raises:
        ValueError: the decoder has none.
    """
    found = _cross_attentions(decoder)
    if not found:
        raise ValueError(f"{type(decoder).__name__} has no layer named {NAME}")
    for module in found:
        module.register_forward_pre_hook(_with_mask, with_kwargs=True)


def set_heard(decoder: nn.Module, mask: Tensor | None) -> None:
    """Say which encoder states (B, T) are real, for all calls to come; ``None``: all of them.

    It stays until it is set again, for with gradient checkpointing the backward pass calls the layers once more.
    """
    shaped = None if mask is None else mask[:, None, None, :]
    for module in _cross_attentions(decoder):
        module.heard = shaped  # type: ignore[assignment]


def _cross_attentions(decoder: nn.Module) -> list[nn.Module]:
    return [module for name, module in decoder.named_modules() if name.rpartition(".")[2] == NAME]


def _with_mask(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    mask: Any = getattr(module, "heard", None)
    if mask is None:
        return args, kwargs
    states = args[0] if args else kwargs["hidden_states"]
    # Beam search has several rows for each example, one beside the other.
    beams = len(states) // len(mask)
    mask = mask if beams == 1 else mask.repeat_interleave(beams, dim=0)
    settings: Any = module.config
    if settings._attn_implementation == "eager":  # adds the mask to the scores
        mask = torch.zeros(mask.shape, dtype=states.dtype, device=states.device).masked_fill(
            ~mask, torch.finfo(states.dtype).min
        )
    return args, {**kwargs, "attention_mask": mask}
