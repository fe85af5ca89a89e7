"""AdamW and its learning rate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from headstock.trainer.config import TrainerConfig


class ParameterGroup(NamedTuple):
    """Parameters that share a peak learning rate."""

    parameters: Sequence[nn.Parameter]
    learning_rate: float


def build_optimizer(groups: Iterable[ParameterGroup], weight_decay: float) -> torch.optim.AdamW:
    """Return fused AdamW (Loshchilov and Hutter 2019); norms and biases, under two dimensions, do not decay."""
    settings = []
    for group in groups:
        matrices = [parameter for parameter in group.parameters if parameter.ndim >= 2]
        vectors = [parameter for parameter in group.parameters if parameter.ndim < 2]
        for parameters, decay in ((matrices, weight_decay), (vectors, 0.0)):
            if parameters:
                rate = group.learning_rate
                settings.append({"params": parameters, "lr": rate, "peak": rate, "weight_decay": decay})
    return torch.optim.AdamW(settings, fused=True)


def learning_rate_factor(config: TrainerConfig, step: int, total: int) -> float:
    """Return the share of the peak learning rate for ``step`` (from 0) of ``total``."""
    warmup = math.ceil(total * config.warmup_ratio)
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(total - warmup, 1)
    match config.schedule:
        case "linear":
            return 1.0 - progress
        case "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * progress))
        case "constant":
            return 1.0


def set_learning_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's rate to its peak times ``factor``."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor


def scale_gradients(parameters: Sequence[nn.Parameter], count: Tensor, max_norm: float | None) -> Tensor:
    """Divide summed gradients by ``count`` and clip their global norm, in one pass and without asking the device.

    Returns:
        The norm after division and before clipping, a scalar tensor.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients) / count
    scale = 1.0 / count
    if max_norm is not None:
        scale = scale * (max_norm / (norm + 1e-6)).clamp(max=1.0)
    torch._foreach_mul_(gradients, scale)
    return norm


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimizer's state as a flat mapping of tensors, named ``<parameter number>.<state>``."""
    state = optimizer.state_dict()["state"]
    return {f"{number}.{name}": value for number, values in state.items() for name, value in values.items()}


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what :func:`optimizer_tensors` returned."""
    content = optimizer.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": content["param_groups"]})
