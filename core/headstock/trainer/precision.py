"""In which numbers forward and backward are computed."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from headstock.trainer.config import TrainerConfig


def autocast(config: TrainerConfig, device: torch.device) -> AbstractContextManager[object]:
    """Return the context that runs the model in the recipe's precision."""
    use = config.precision == "bf16" or (
        config.precision == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported()
    )
    return torch.autocast(device.type, dtype=torch.bfloat16) if use else nullcontext()
