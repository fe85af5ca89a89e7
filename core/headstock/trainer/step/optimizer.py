"""AdamW and its learning rate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from headstock.trainer.config import TrainerConfig
from headstock.trainer.step.adamw import NO_ROWS, AdamW, Rows
from headstock.trainer.step.out_of_memory import is_out_of_memory
from headstock_registry import HeadstockError

LIGHTER = (
    "it needs room for two numbers for each weight that is trained: take an adapter that trains fewer, "
    "a smaller backbone or, with several GPUs, trainer.fsdp=true"
)
"""What to do where the optimizer's state does not fit beside weights and gradients."""


class ParameterGroup(NamedTuple):
    """Parameters that share a peak learning rate."""

    parameters: Sequence[nn.Parameter]
    learning_rate: float


def build_optimizer(groups: Iterable[ParameterGroup], weight_decay: float, capturable: bool = False) -> AdamW:
    """Return fused AdamW (Loshchilov and Hutter 2019); norms and biases, under two dimensions, do not decay.

    Parameters of one rate and decay are one group, whatever they belong to: each group costs calls of kernels.
    ``capturable`` keeps the rates in tensors on the device, where a CUDA graph reads them at each replay.
    """
    alike: dict[tuple[float, float], list[nn.Parameter]] = {}
    for group in groups:
        for parameter in group.parameters:
            decay = weight_decay if parameter.ndim >= 2 else 0.0
            alike.setdefault((group.learning_rate, decay), []).append(parameter)
    settings = [
        {
            "params": parameters,
            "lr": torch.tensor(rate, device=parameters[0].device) if capturable else rate,
            "peak": rate,
            "weight_decay": decay,
        }
        for (rate, decay), parameters in alike.items()
    ]
    return AdamW(settings, fused=True, capturable=capturable)


def learning_rate_factor(config: TrainerConfig, step: int, total: int) -> float:
    """Return the fraction of the peak learning rate for ``step`` (from 0) of ``total``."""
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
        rate = group["peak"] * factor
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def scaled_step(
    optimizer: AdamW,
    gradients: Sequence[Tensor],
    total: Tensor,
    count: Tensor,
    max_norm: float | None,
    hold: Tensor | None = None,
    rows: Rows = NO_ROWS,
) -> tuple[Tensor, Tensor]:
    """Take a step with the summed gradients divided by ``count`` and their global norm clipped.

    The fused kernel divides as it reads the gradients, and leaves weights, moments and their step counter alone where
    something is not finite (both are what torch's own ``GradScaler`` asks of it), so that this costs no pass over
    them, and nothing is asked of the device.

    Args:
        optimizer: What :func:`build_optimizer` made.
        gradients: Those of all that it trains; entries that are zero may be left out.
        total: The summed loss, a scalar tensor.
        count: What it sums over, a scalar tensor.
        max_norm: The largest norm; ``None``: do not clip.
        hold: If true, a bool scalar tensor, the step changes nothing.
        rows: Where the gradients of large tables may differ from zero.

    Returns:
        The norm after division and before clipping, and whether the loss or the norm was not finite, so that the step
        changed nothing; scalar tensors.

    Raises:
        HeadstockError: memory ran out; the first step makes two numbers for each weight.
    """
    norm = _over_ranks(torch.nn.utils.get_total_norm(gradients)) / count
    divisor = count
    if max_norm is not None:
        divisor = count / (max_norm / (norm + 1e-6)).clamp(max=1.0)
    unsound = ~torch.isfinite(total + norm)
    try:
        if hold is None:
            optimizer.scaled_step(divisor.float(), unsound.float(), rows)
        else:
            optimizer.step_as_torch(divisor.float(), (unsound | hold).float())
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise HeadstockError(f"memory ran out over the optimizer's state; {LIGHTER}") from error
    return norm, unsound


def _over_ranks(norm: Tensor) -> Tensor:
    """Return a norm as a plain tensor; sharded gradients give a distributed one."""
    put_together = getattr(norm, "full_tensor", None)
    whole: Tensor = norm if put_together is None else put_together()
    return whole


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimizer's state as a flat mapping of tensors, named ``<parameter index>.<state>``."""
    state = optimizer.state_dict()["state"]
    # The numbers of steps may share memory, which a file of tensors must not.
    return {
        f"{index}.{name}": value if value.ndim else value.clone()
        for index, values in state.items()
        for name, value in values.items()
    }


def parameters_of(optimizer: torch.optim.Optimizer, tensors: Iterable[str]) -> dict[str, nn.Parameter]:
    """Return for each name that :func:`optimizer_tensors` gave the parameter that the tensor belongs to."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    return {name: parameters[int(name.split(".", 1)[0])] for name in tensors}


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what :func:`optimizer_tensors` returned."""
    content = optimizer.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": content["param_groups"]})
