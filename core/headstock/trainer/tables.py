"""Gradients of large embedding tables on the CPU, without a new table of zeros at every step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

LARGE = 2**20
"""Elements from which on a table is worth the trouble."""


@contextmanager
def kept_tables(model: nn.Module) -> Iterator[None]:
    """Let large embedding tables of a model on the CPU keep their gradient's memory while this is active.

    torch makes a table of zeros for each gradient and adds the few rows of a batch to it. Fresh memory of that size is
    handed out by the system page by page: a sixth of a step of a small encoder. Here the batch's rows come as a
    sparse gradient, which torch adds to the dense one that is there before the backward pass. The sums are the same.
    """
    with ExitStack() as stack:
        for module in model.modules():
            if isinstance(module, nn.Embedding) and _serves(module):
                stack.enter_context(_kept(module))
        yield


def _serves(table: nn.Embedding) -> bool:
    return (
        type(table).forward is nn.Embedding.forward
        and table.weight.requires_grad
        and table.weight.device.type == "cpu"
        and table.weight.numel() >= LARGE
        and not (table.sparse or table.scale_grad_by_freq or table.max_norm is not None)
    )


@contextmanager
def _kept(table: nn.Embedding) -> Iterator[None]:
    gradient: Tensor = torch.empty_like(table.weight)

    def prepare(module: nn.Module, inputs: Any) -> None:
        del module, inputs
        if torch.is_grad_enabled() and table.weight.grad is None:
            table.weight.grad = gradient.zero_()

    hook = table.register_forward_pre_hook(prepare)
    table.sparse = True
    try:
        yield
    finally:
        hook.remove()
        table.sparse = False
