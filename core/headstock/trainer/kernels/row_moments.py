"""AdamW's moments of a large table on the CPU, those of the rows alone that have ever had a gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

LANES = 16
"""Numbers that the kernel takes at a time, at most; it may round those that are left over in another way."""

SPARSE = 4
"""A table is treated by rows as long as not more than one in so many has had a gradient."""


class RowMoments:
    """A table's moments by rows; the numbers are those of the whole table to the bit.

    Both moments of a row are zero until its first gradient, and all that AdamW does to it is to decay it. A text's
    words are a small part of a vocabulary, so that most of what the kernel reads and writes is zeros.

    Args:
        table: The parameter (N, D).
        average: The first moment of the whole table; brought up to date by :meth:`write_back`.
        square: The second.
    """

    def __init__(self, table: Tensor, average: Tensor, square: Tensor) -> None:
        self._table, self._full = table, (average, square)
        self._rows = (average.ne(0) | square.ne(0)).any(dim=1).nonzero()[:, 0]
        self._places = torch.full((len(table),), -1)
        self._places[self._rows] = torch.arange(len(self._rows))
        # Moments, gradient and weights of the rows, with room for more.
        zeros = average.new_zeros(len(self._rows), average.shape[1])
        self._room = [average[self._rows], square[self._rows], zeros, zeros.clone()]

    def add(self, rows: Tensor) -> bool:
        """Add the rows of a gradient; tell whether it still pays to treat the table by rows."""
        new = rows[self._places[rows] < 0]
        count = len(self._rows) + len(new)
        if count * SPARSE > len(self._table):
            return False
        if len(new):
            self._places[new] = torch.arange(len(self._rows), count)
            self._rows = torch.cat((self._rows, new))
        if count > len(self._room[0]):
            more = self._table.new_zeros(count, self._table.shape[1])
            self._room = [torch.cat((each, more)) for each in self._room]
        return True

    def step(self, rows: Tensor, gradient: Tensor, step: Tensor, decay: float, **options: Any) -> None:
        """Take a step.

        Args:
            rows: Where the gradient is not zero, each once; they were added.
            gradient: The gradient of the whole table.
            step: The number of the step, a scalar tensor.
            decay: What weights are multiplied by.
            options: The other arguments of the kernel.
        """
        average, square, gradients, weights = (each[: len(self._rows)] for each in self._room)
        places = self._places[rows]
        gradients.index_copy_(0, places, gradient[rows])
        torch.index_select(self._table, 0, self._rows, out=weights)
        if decay != 1.0:
            self._table.mul_(decay)
        torch._fused_adamw_([weights], [gradients], [average], [square], [], [step], **options)
        self._table.index_copy_(0, self._rows, weights)
        gradients.index_fill_(0, places, 0.0)

    def write_back(self) -> None:
        """Bring the moments of the whole table up to date."""
        for full, room in zip(self._full, self._room, strict=False):
            full.index_copy_(0, self._rows, room[: len(self._rows)])
