"""Fused AdamW whose step costs little beside its kernel, for models so small that this counts."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from headstock.trainer.kernels.one_thread import all_threads
from headstock.trainer.kernels.row_moments import LANES, RowMoments

Rows = Mapping[Tensor, Tensor | None]
"""For each large table the rows, each once, in which its gradient may differ from zero; ``None``: in any."""

NO_ROWS: Rows = MappingProxyType({})
"""No table is treated by rows."""


class _Group(NamedTuple):
    """Parameters that the kernel takes together; the tensors are those of the optimizer's state."""

    settings: dict[str, Any]
    parameters: list[Tensor]
    averages: list[Tensor]
    squares: list[Tensor]
    steps: list[Tensor]
    all_steps: Tensor | None  # what `steps` are views of, where they are counted together
    rows: RowMoments | None  # of a table, which is a group of its own

    def with_gradients(self) -> _Group:
        """Return what of the group has a gradient."""
        chosen = [index for index, parameter in enumerate(self.parameters) if parameter.grad is not None]
        lists = (self.parameters, self.averages, self.squares, self.steps)
        parameters, averages, squares, steps = ([each[index] for index in chosen] for each in lists)
        return _Group(self.settings, parameters, averages, squares, steps, None, self.rows)

    def gradients(self) -> list[Tensor]:
        return [parameter.grad for parameter in self.parameters if parameter.grad is not None]

    def count_step(self, counted: Tensor) -> None:
        """Add to the number of steps."""
        if self.all_steps is None:
            torch._foreach_add_(self.steps, counted)
        else:
            self.all_steps.add_(counted)


class AdamW(torch.optim.AdamW):
    """torch's fused AdamW, with the same numbers and state.

    torch collects the tensors of all parameters anew at each step, sorts them by device and type, and counts the steps
    of each parameter apart: more than a tenth of a step of a small model. Here this is done once. And of large tables
    only the rows that ever had a gradient go through the kernel.
    """

    _ready: list[_Group] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the state, as torch does."""
        for group in self._ready or ():
            if group.rows is not None:
                group.rows.write_back()
        return super().state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state, in tensors of its own."""
        self._ready = None
        super().load_state_dict(state_dict)

    def step_as_torch(self, divisor: Tensor, unsound: Tensor) -> None:
        """Do what :meth:`scaled_step` does as torch does it, as a step needs it that may be captured as a graph."""
        self._let_go()
        fused: Any = self
        fused.grad_scale, fused.found_inf = divisor, unsound
        self.step()
        fused.grad_scale = fused.found_inf = None

    @torch.no_grad()
    def scaled_step(self, divisor: Tensor, unsound: Tensor, rows: Rows) -> None:
        """Take a step with the gradients divided by ``divisor``, or none if ``unsound`` is not 0; scalar tensors.

        The gradients may be changed.
        """
        if self._ready is None:
            self._ready = self._prepared(rows)
        if self._ready is None:
            self.step_as_torch(divisor, unsound)
            return
        counted = 1 - unsound
        for index, group in enumerate(self._ready):
            chosen = group if all(each.grad is not None for each in group.parameters) else group.with_gradients()
            if not chosen.parameters:
                continue
            beta1, beta2 = group.settings["betas"]
            rate, weight_decay = group.settings["lr"], group.settings["weight_decay"]
            options: dict[str, Any] = {
                "lr": rate,
                "beta1": beta1,
                "beta2": beta2,
                "weight_decay": weight_decay,
                "eps": group.settings["eps"],
                "amsgrad": False,
                "maximize": False,
                "grad_scale": divisor,
                "found_inf": unsound,
            }
            chosen.count_step(counted)
            found = rows.get(group.parameters[0])
            if group.rows is not None and found is not None and group.rows.add(found):
                if bool(unsound):  # on the CPU, where nobody waits for the answer
                    continue
                group.rows.step(found, chosen.gradients()[0], group.steps[0], 1 - rate * weight_decay, **options)
                continue
            if group.rows is not None:  # too many rows by now, or something beside a look-up gave a gradient
                group.rows.write_back()
                self._ready[index] = group._replace(rows=None)
            with all_threads(sum(each.numel() for each in chosen.parameters)):
                torch._fused_adamw_(
                    chosen.parameters, chosen.gradients(), chosen.averages, chosen.squares, [], chosen.steps, **options
                )

    def _let_go(self) -> None:
        """Bring the state up to date, and let torch's own way change it."""
        for group in self._ready or ():
            if group.rows is not None:
                group.rows.write_back()
        self._ready = None

    def _prepared(self, rows: Rows) -> list[_Group] | None:
        """Return the groups, or ``None`` where torch's own way is kept: as long as a parameter has no state, too."""
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        if not all(_is_plain(parameter) and self.state.get(parameter) for parameter in parameters):
            return None
        groups = []
        for group in self.param_groups:
            tables = [each for each in group["params"] if each in rows and each.shape[-1] % LANES == 0]
            others = [each for each in group["params"] if not any(each is table for table in tables)]
            groups += [self._group(group, [table], by_rows=True) for table in tables]
            groups += [self._group(group, others)] if others else []
        return groups

    def _group(self, settings: dict[str, Any], parameters: list[Tensor], by_rows: bool = False) -> _Group:
        states = [self.state[parameter] for parameter in parameters]
        all_steps = torch.stack([state["step"] for state in states])
        for state, step in zip(states, all_steps.unbind(), strict=True):
            state["step"] = step
        averages, squares, steps = ([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step"))
        moments = RowMoments(parameters[0], averages[0], squares[0]) if by_rows else None
        return _Group(settings, parameters, averages, squares, steps, all_steps, moments)


def _is_plain(parameter: nn.Parameter) -> bool:
    """Tell whether a parameter is on the CPU, whole and in float32; a GPU works while Python collects."""
    return type(parameter) is nn.Parameter and parameter.device.type == "cpu" and parameter.dtype == torch.float32
