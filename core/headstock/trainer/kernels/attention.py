"""Which of torch's kernels for attention is used, where torch's own choice is the slower one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from headstock.trainer.config import TrainerConfig
from headstock.trainer.kernels.patches import PATCHES, Undo

Eligible = Callable[[Tensor, Tensor], bool]
"""Tells from query and key whether a call is eligible for doing without a kernel."""

MAX_KEYS_BF16 = 256
"""Keys up to which plain products are used: beyond, the fused kernel is as fast and keeps no matrix of weights."""

MIN_KEYS_CUDNN = 192
"""Keys from which on cuDNN's kernels are left in: they gain with the length, and lengths at a limit recur."""


@contextmanager
def bf16_attention() -> Iterator[None]:
    """Let ``scaled_dot_product_attention`` use the fastest kernel there is to train in bfloat16 on a CPU.

    The fused kernel's backward pass takes two to eight times as long as matrix products in bfloat16 do on sequences of
    up to a few hundred. With dropout torch takes products by itself, but in float32, which is half as fast. Inference,
    float32 and GPUs are left as they are. The softmax is computed in float32 either way; its inputs and outputs are
    rounded to bfloat16, as in a model's own attention under autocast.
    """
    with PATCHES.active("attention: reductions in bfloat16", _reduce_in_bf16), _without("flash", _trains_in_bfloat16):
        yield


@contextmanager
def attention_without_cudnn(config: TrainerConfig, device: torch.device) -> Iterator[None]:
    """Let ``scaled_dot_product_attention`` on a GPU use kernels that need no plan for a shape, while this is active.

    On recent GPUs torch prefers cuDNN's, for which cuDNN makes a plan for every new shape of a batch, in each
    direction, which takes as long as many steps. Batches of texts and clips come in dozens of shapes. Long sequences,
    whose lengths are fewer where they are cut at a limit, are left to cuDNN. Off on a CPU and with ``trainer.compile``.
    """
    if device.type == "cpu" or config.compile:
        yield
        return
    with _without("cudnn", _is_short):
        yield


_DISABLED: dict[str, Eligible] = {}
"""Kernels of torch's that attention does without, each with where."""


@contextmanager
def _without(kernel: str, where: Eligible) -> Iterator[None]:
    """Let attention do without one of torch's kernels where a function of query and key says so."""

    def disable() -> Undo:
        _DISABLED[kernel] = where

        def undo() -> None:
            del _DISABLED[kernel]

        return undo

    with (
        PATCHES.active("attention", _replace_attention),
        PATCHES.active(f"attention without {kernel}", disable),
    ):
        yield


def _replace_attention() -> Undo:
    functional: Any = torch.nn.functional
    original = functional.scaled_dot_product_attention

    def attention(query: Tensor, key: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        result: Tensor
        with ExitStack() as stack:
            for kernel, where in tuple(_DISABLED.items()):
                if where(query, key):
                    stack.enter_context(_disabled(kernel))
            result = original(query, key, *args, **kwargs)
        return result

    functional.scaled_dot_product_attention = attention

    def undo() -> None:
        functional.scaled_dot_product_attention = original

    return undo


@contextmanager
def _disabled(kernel: str) -> Iterator[None]:
    settings: Any = torch.backends.cuda  # where torch keeps them for all devices
    enabled, enable = getattr(settings, f"{kernel}_sdp_enabled"), getattr(settings, f"enable_{kernel}_sdp")
    if not enabled():
        yield
        return
    enable(False)
    try:
        yield
    finally:
        enable(True)


def _reduce_in_bf16() -> Undo:
    settings: Any = torch.backends.cuda
    before = settings.fp16_bf16_reduction_math_sdp_allowed()
    settings.allow_fp16_bf16_reduction_math_sdp(True)
    return lambda: settings.allow_fp16_bf16_reduction_math_sdp(before)


def _is_short(query: Tensor, key: Tensor) -> bool:
    del query
    return key.device.type == "cuda" and key.shape[-2] < MIN_KEYS_CUDNN


def _trains_in_bfloat16(query: Tensor, key: Tensor) -> bool:
    return (
        query.dtype == torch.bfloat16
        and query.device.type == "cpu"
        and key.shape[-2] <= MAX_KEYS_BF16
        and torch.is_grad_enabled()
        and (query.requires_grad or key.requires_grad)
    )
