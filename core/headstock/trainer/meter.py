"""What accumulates on the device between two logged steps, so that the host need not wait for it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Skipped(NamedTuple):
    """Steps that changed nothing because their loss or gradient was not finite.

    Attributes:
        steps: How many since the run began.
        in_a_row: How many of them are the last steps, one after the other.
        most_in_a_row: The largest ``in_a_row`` since this session began.
        first: The first one of this session; ``None`` if there was none.
    """

    steps: int
    in_a_row: int
    most_in_a_row: int
    first: int | None


class Meter:
    """Sums losses and counts the steps whose loss or gradient was not finite.

    Args:
        device: Where the losses are.
        total: Summed loss since the last log, of a run that goes on.
        count: Its count.
        skipped: Steps of that run that were not finite.
        in_a_row: How many of them were its last steps.
    """

    def __init__(self, device: torch.device, total: float, count: float, skipped: int = 0, in_a_row: int = 0) -> None:
        self._total = torch.tensor(total, device=device)
        self._count = torch.tensor(count, device=device)
        self._norm = torch.zeros((), device=device)
        self._skipped = torch.tensor(skipped, device=device)
        self._in_a_row = torch.tensor(in_a_row, device=device)
        self._most_in_a_row = self._in_a_row
        self._first = torch.tensor(-1, device=device)

    def add(self, total: Tensor, count: Tensor, norm: Tensor, unsound: Tensor, step: int) -> None:
        """Take in one optimizer step; one that is ``unsound`` leaves the sums alone. Asks nothing of the device."""
        # Not torch.where: it would copy a plain number to the device, and wait for that.
        self._total += total.masked_fill(unsound, 0)
        self._count += count.masked_fill(unsound, 0)
        self._norm = norm
        self._first = self._first.masked_fill(unsound & (self._first < 0), step)
        self._skipped += unsound
        self._in_a_row = (self._in_a_row + 1).masked_fill(~unsound, 0)
        self._most_in_a_row = torch.maximum(self._most_in_a_row, self._in_a_row)

    def skipped(self) -> Skipped:
        """Return what is known of steps that were not finite. Waits for the device."""
        counters = torch.stack([self._skipped, self._in_a_row, self._most_in_a_row, self._first])
        steps, in_a_row, most, first = (int(value) for value in counters.tolist())
        return Skipped(steps, in_a_row, most, None if first < 0 else first)

    def read(self) -> dict[str, float]:
        """Return the mean loss since the last call and the last gradient norm, and start over. Waits for the device.

        The mean is NaN where every step since was skipped, and the norm where the last one was.
        """
        total, count = self.sums()
        self._total.zero_()
        self._count.zero_()
        return {"loss": total / count if count else float("nan"), "grad_norm": float(self._norm)}

    def sums(self) -> tuple[float, float]:
        """Return summed loss and count since the last :meth:`read`, for a checkpoint."""
        return float(self._total), float(self._count)
