"""Gradient checkpointing for networks that are a row of stages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def checkpoint_stages(stages: Iterable[nn.Module]) -> None:
    """Make each stage keep only its input in training and compute the rest again in the backward pass."""
    for stage in stages:
        stage.forward = partial(_forward, stage, stage.forward)


def _forward(stage: nn.Module, forward: Callable[..., Any], *inputs: Any) -> Any:
    if not (stage.training and torch.is_grad_enabled()):
        return forward(*inputs)
    return checkpoint(forward, *inputs, use_reentrant=False, context_fn=partial(_contexts, stage))


def _contexts(stage: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _kept_statistics(stage)


@contextmanager
def _kept_statistics(stage: nn.Module) -> Iterator[None]:
    """Keep batch norms from counting the same batch twice while the stage is computed again."""
    norms = [(module, module.momentum) for module in stage.modules() if isinstance(module, _BatchNorm)]
    for module, _ in norms:
        module.momentum = 0.0
    try:
        yield
    finally:
        for module, momentum in norms:
            module.momentum = momentum
