"""Gradients of large embedding tables on the CPU, without a new table of zeros at every step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

LARGE = 2**20
"""Elements from which on a table is eligible."""


class GradientBuffers:
    """The gradient buffers of large embedding tables, kept from step to step, and which of their rows are not zero."""

    def __init__(self, tables: Sequence[nn.Embedding]) -> None:
        self._buffers = {table.weight: _GradientBuffer(table) for table in tables}

    def gradients(self, parameters: Sequence[nn.Parameter]) -> list[Tensor]:
        """Return the gradients that there are, of a table only the rows that may differ from zero.

        Their norms are those of the whole.
        """
        return [self._of(parameter, parameter.grad) for parameter in parameters if parameter.grad is not None]

    def rows(self) -> dict[Tensor, Tensor | None]:
        """Return for each table the rows, each once, where its gradient may differ from zero; ``None``: in any."""
        return {weight: buffer.rows() for weight, buffer in self._buffers.items()}

    def close(self) -> None:
        """Leave the tables as they were before."""
        for buffer in self._buffers.values():
            buffer.close()

    def _of(self, parameter: nn.Parameter, gradient: Tensor) -> Tensor:
        buffer = self._buffers.get(parameter)
        return gradient if buffer is None else buffer.rows_of(gradient)


@contextmanager
def gradient_buffers(model: nn.Module) -> Iterator[GradientBuffers]:
    """Let large embedding tables of a model on the CPU keep their gradient buffers while this is active.

    torch makes a table of zeros for each gradient and adds the few rows of a batch to it. Fresh memory of that size is
    handed out by the system page by page: a sixth of a step of a small encoder. Here the batch's rows come as a
    sparse gradient, which torch adds to the dense one that is there before the backward pass. The sums are the same,
    and only the rows that were added to are zeroed for the next step and counted in the gradient's norm.
    """
    buffers = GradientBuffers(
        [each for each in model.modules() if isinstance(each, nn.Embedding) and _is_eligible(each)]
    )
    try:
        yield buffers
    finally:
        buffers.close()


def _is_eligible(table: nn.Embedding) -> bool:
    return (
        type(table).forward is nn.Embedding.forward
        and table.weight.requires_grad
        and table.weight.device.type == "cpu"
        and table.weight.numel() >= LARGE
        and not (table.sparse or table.scale_grad_by_freq or table.max_norm is not None)
    )


class _GradientBuffer:
    """One table's gradient buffer, and the indices of the rows that were added to since it was last zeroed."""

    def __init__(self, table: nn.Embedding) -> None:
        self._table = table
        # A method may put other weights in their place for a pass, made from these.
        self._weight = table.weight
        self._gradient = torch.zeros_like(table.weight)
        self._rows: list[Tensor] = []
        self._unique = False  # whether the rows are one tensor, with each once
        self._dense = False  # something beside the look-up has added to all of it
        self._hooks = [
            table.register_forward_pre_hook(self._prepare),
            # called with each backward pass's sum
            table.weight.register_hook(self._add_rows),  # type: ignore[no-untyped-call]
        ]
        table.sparse = True

    def rows_of(self, gradient: Tensor) -> Tensor:
        """Return the rows of the weight's gradient that may differ from zero, or all where that is not known."""
        rows = self.rows()
        return gradient if rows is None else gradient[rows]

    def rows(self) -> Tensor | None:
        """Return the rows where the gradient may differ from zero, each once, or ``None`` where that is not known."""
        if self._dense or self._weight.grad is not self._gradient:
            return None
        if len(self._rows) != 1 or not self._unique:
            joined = torch.cat(self._rows) if self._rows else torch.empty(0, dtype=torch.int64)
            self._rows, self._unique = [torch.unique(joined)], True
        return self._rows[0]

    def close(self) -> None:
        """Let the table have gradients of its own again."""
        for hook in self._hooks:
            hook.remove()
        self._table.sparse = False

    def _prepare(self, module: nn.Module, inputs: Any) -> None:
        del module, inputs
        if torch.is_grad_enabled() and self._weight.grad is None:
            self._zero()
            self._weight.grad = self._gradient

    def _add_rows(self, gradient: Tensor) -> None:
        if gradient.is_sparse:
            self._rows.append(gradient._indices()[0])
            self._unique = False
        else:
            self._dense = True

    def _zero(self) -> None:
        if self._dense:
            self._gradient.zero_()
        else:
            for rows in self._rows:
                self._gradient.index_fill_(0, rows, 0.0)
        self._rows, self._unique, self._dense = [], False, False
