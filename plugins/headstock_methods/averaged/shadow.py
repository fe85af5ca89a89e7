"""A second set of weights beside those that are trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from headstock import TrainingModel


def begin_shadow(memory: nn.Module, model: TrainingModel) -> None:
    """Keep copies of all that is trained as buffers, in the order of the model's parameters."""
    for index, parameter in enumerate(model.parameters().values()):
        memory.register_buffer(f"average_{index}", parameter.detach().clone())


def shadow(memory: nn.Module, model: TrainingModel) -> tuple[list[Tensor], list[Tensor]]:
    """Return the copies and the parameters themselves."""
    parameters: list[Tensor] = list(model.parameters().values())
    return [memory.get_buffer(f"average_{index}") for index in range(len(parameters))], parameters


def exchange(averages: list[Tensor], parameters: list[Tensor]) -> None:
    """Exchange the values of both in place."""
    for average, parameter in zip(averages, parameters, strict=True):
        kept = average.clone()
        average.copy_(parameter)
        parameter.copy_(kept)


def lerp(averages: list[Tensor], parameters: list[Tensor], weight: float) -> None:
    """Move the copies towards the parameters by a share of the way."""
    torch._foreach_lerp_(averages, parameters, weight)
