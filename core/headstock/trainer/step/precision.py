"""In which numbers forward and backward are computed."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from headstock.trainer.config import TrainerConfig

LEAST_IN_MATRICES = 1_000_000
"""Weights in matrices from which on bfloat16 pays on a CPU: below, the conversions cost what the products gain."""

CPU_FEATURES = ("amx_bf16", "avx512_bf16")
"""Instructions with which a CPU multiplies matrices of bfloat16 faster than of float32."""


def settle_precision(config: TrainerConfig, model: nn.Module, device: torch.device) -> TrainerConfig:
    """Return the options with ``precision: auto`` made ``fp32`` or ``bf16``, as suits a model and a device.

    On a GPU that has bfloat16 it is ``bf16``. On a CPU with instructions for it, it is so for models most of whose
    weights are in matrices (transformers): twice as fast in training. Convolutions, above all those in groups, are
    slower in bfloat16 than in float32 there, and recurrent layers no faster.
    """
    if config.precision != "auto":
        return config
    on_gpu = device.type == "cuda"
    pays = torch.cuda.is_bf16_supported() if on_gpu else multiplies_bf16() and _is_of_matrices(model)
    return config.model_copy(update={"precision": "bf16" if pays else "fp32"})


def autocast(config: TrainerConfig, device: torch.device) -> AbstractContextManager[object]:
    """Return the context that runs the model in a settled precision."""
    if config.precision == "auto":
        raise ValueError("the precision is not settled")
    return torch.autocast(device.type, dtype=torch.bfloat16) if config.precision == "bf16" else nullcontext()


def multiplies_bf16() -> bool:
    """Tell whether this CPU multiplies matrices of bfloat16 faster than of float32."""
    found = torch.cpu.get_capabilities()
    return any(found.get(name) for name in CPU_FEATURES)


def _is_of_matrices(model: nn.Module) -> bool:
    matrices = others = 0
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            continue  # looked up, not multiplied
        for parameter in module.parameters(recurse=False):
            if parameter.ndim == 2 and not isinstance(module, nn.RNNBase):
                matrices += parameter.numel()
            else:
                others += parameter.numel()
    return matrices >= max(LEAST_IN_MATRICES, others)
