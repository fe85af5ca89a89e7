"""Weights that stay as they are for a while, in the order in which the CPU multiplies by them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from headstock.trainer.config import TrainerConfig

LARGE = 2**14
"""Elements from which on a matrix is eligible."""


@contextmanager
def packed_weights(model: nn.Module, config: TrainerConfig, device: torch.device) -> Iterator[None]:
    """Let linear layers multiply in bfloat16 by weights that are cast and laid out once, while this is active.

    Without gradients autocast casts a weight again for every batch, and oneDNN puts it into its own order each time.
    Both are done once here, at a layer's first batch; the numbers are those of ``torch.nn.functional.linear`` but for
    the order of sums. The operations are those that torch's own compiler calls for frozen weights. Weights must not
    change meanwhile. Off where the precision is not bfloat16, on GPUs, with ``trainer.compile``, with
    ``trainer.pack_weights=false``, and where a check finds that torch's operations do not give those numbers.
    """
    layers: list[nn.Linear] = []
    if config.pack_weights and config.precision == "bf16" and device.type == "cpu" and not config.compile and works():
        layers = [module for module in model.modules() if isinstance(module, nn.Linear) and _is_eligible(module)]
    for layer in layers:
        layer.__dict__["forward"] = partial(_forward, layer, [])
    try:
        yield
    finally:
        for layer in layers:
            del layer.__dict__["forward"]


@cache
def works() -> bool:
    """Tell whether this build of torch and this CPU multiply by packed weights, and rightly."""
    operations: Any = torch.ops.mkldnn
    library: Any = torch.backends.mkldnn
    if not (library.is_available() and hasattr(operations, "_reorder_linear_weight")):
        return False
    numbers = torch.linspace(-1, 1, 48 * 64).reshape(48, 64)
    value, weight, bias = numbers[:16].bfloat16(), numbers[16:].bfloat16(), numbers[0, :32].bfloat16()
    expected = nn.functional.linear(value, weight, bias)
    try:
        found = _multiply(value, _pack(weight), bias)
    except RuntimeError:  # the processor lacks the instructions that the operations are written for
        return False
    return torch.allclose(found.float(), expected.float(), rtol=2e-2, atol=2e-2)


def _is_eligible(layer: nn.Linear) -> bool:
    weight = layer.weight
    return (
        type(layer) is nn.Linear  # others may do more
        and "forward" not in layer.__dict__
        and type(weight) is nn.Parameter  # not one that is sharded
        and weight.dtype == torch.float32
        and weight.device.type == "cpu"
        and weight.numel() >= LARGE
    )


def _forward(layer: nn.Linear, packed: list[tuple[Tensor, Tensor | None]], value: Tensor) -> Tensor:
    if torch.is_grad_enabled() or not _casts():
        return nn.Linear.forward(layer, value)
    if not packed:
        bias = None if layer.bias is None else layer.bias.detach().bfloat16()
        packed.append((_pack(layer.weight.detach().bfloat16()), bias))
    return _multiply(value.bfloat16(), *packed[0])


def _casts() -> bool:
    """Tell whether autocast is on here; a model may turn it off for some of its layers."""
    return torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16


def _pack(weight: Tensor) -> Tensor:
    operations: Any = torch.ops.mkldnn
    packed: Tensor = operations._reorder_linear_weight(weight)
    return packed


def _multiply(value: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    operations: Any = torch.ops.mkldnn
    result: Tensor = operations._linear_pointwise(value, packed, bias, "none", [], "")
    return result
