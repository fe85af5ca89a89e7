"""Fused AdamW whose step costs little beside its kernel, for models so small that this counts."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class _Group(NamedTuple):
    """A parameter group as the kernel takes it; the tensors are those of the optimizer's state."""

    settings: dict[str, Any]
    parameters: list[Tensor]
    averages: list[Tensor]
    squares: list[Tensor]
    steps: list[Tensor]
    all_steps: Tensor  # what `steps` are views of


class AdamW(torch.optim.AdamW):
    """torch's fused AdamW, with the same numbers and state.

    torch collects the tensors of all parameters anew at each step, sorts them by device and type, and counts the steps
    of each parameter apart: more than a tenth of a step of a small model. Here this is done once.
    """

    _ready: list[_Group] | None = None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state, in tensors of its own."""
        self._ready = None
        super().load_state_dict(state_dict)

    def step_as_torch(self, divisor: Tensor, unsound: Tensor) -> None:
        """Do what :meth:`scaled_step` does as torch does it, as a step needs it that may be captured as a graph."""
        fused: Any = self
        fused.grad_scale, fused.found_inf = divisor, unsound
        self.step()
        fused.grad_scale = fused.found_inf = None

    @torch.no_grad()
    def scaled_step(self, divisor: Tensor, unsound: Tensor) -> None:
        """Take a step with the gradients divided by ``divisor``, or none if ``unsound`` is not 0; scalar tensors.

        The gradients may be changed.
        """
        if self._ready is None:
            self.step_as_torch(divisor, unsound)
            self._ready = self._prepared()
            return
        gradients = [_gradients(group.parameters) for group in self._ready]
        if not all(len(each) == len(group.steps) for group, each in zip(self._ready, gradients, strict=True)):
            self.step_as_torch(divisor, unsound)
            return
        for group, each in zip(self._ready, gradients, strict=True):
            beta1, beta2 = group.settings["betas"]
            group.all_steps.add_(1)
            torch._fused_adamw_(
                group.parameters,
                each,
                group.averages,
                group.squares,
                [],
                group.steps,
                lr=group.settings["lr"],
                beta1=beta1,
                beta2=beta2,
                weight_decay=group.settings["weight_decay"],
                eps=group.settings["eps"],
                amsgrad=False,
                maximize=False,
                grad_scale=divisor,
                found_inf=unsound,
            )
            group.all_steps.sub_(unsound)

    def _prepared(self) -> list[_Group] | None:
        """Return the groups, or ``None`` where torch's own way is kept: as long as a parameter has no state, too."""
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        if not all(_is_plain(parameter) and self.state.get(parameter) for parameter in parameters):
            return None
        return [self._prepared_group(group) for group in self.param_groups]

    def _prepared_group(self, group: dict[str, Any]) -> _Group:
        states = [self.state[parameter] for parameter in group["params"]]
        all_steps = torch.stack([state["step"] for state in states])
        for state, step in zip(states, all_steps.unbind(), strict=True):
            state["step"] = step
        return _Group(
            group,
            group["params"],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [state["step"] for state in states],
            all_steps,
        )


def _gradients(parameters: list[Tensor]) -> list[Tensor]:
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def _is_plain(parameter: nn.Parameter) -> bool:
    """Tell whether a parameter is on the CPU, whole and in float32; a GPU works while Python collects."""
    return type(parameter) is nn.Parameter and parameter.device.type == "cpu" and parameter.dtype == torch.float32
