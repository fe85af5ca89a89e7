"""What accumulates on the device between two logged steps, so that the host need not wait for it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Unsound(NamedTuple):
    """Steps whose loss or gradient was not finite.

    Attributes:
        first: The first one of this session; ``None`` if there was none.
        skipped: How many were skipped since the run began.
        in_a_row: How many of these are the last steps, one after the other.
    """

    first: int | None
    skipped: int
    in_a_row: int


class Meter:
    """Sums losses and watches for steps whose loss or gradient was not finite.

    Args:
        device: Where the losses are.
        total: Summed loss since the last log, of a run that is resumed.
        count: Its count.
        skips: Whether such steps are left out and counted; otherwise the first one is remembered, which ends the run.
        skipped: Steps of that run that were skipped.
        in_a_row: How many of them were its last steps.
    """

    def __init__(
        self, device: torch.device, total: float, count: float, *, skips: bool, skipped: int = 0, in_a_row: int = 0
    ) -> None:
        self._total = torch.tensor(total, device=device)
        self._count = torch.tensor(count, device=device)
        self._norm = torch.zeros((), device=device)
        self._skips = skips
        self._skipped = torch.tensor(skipped, device=device)
        self._in_a_row = torch.tensor(in_a_row, device=device)
        self._first = torch.tensor(-1, device=device)

    def add(self, total: Tensor, count: Tensor, norm: Tensor, unsound: Tensor, step: int) -> None:
        """Take in one optimizer step. Asks nothing of the device."""
        # Not torch.where with a plain number: it would copy that to the device, and wait for it.
        if self._skips:
            total, count = total.masked_fill(unsound, 0), count.masked_fill(unsound, 0)
            self._skipped += unsound
            self._in_a_row = (self._in_a_row + 1).masked_fill(~unsound, 0)
        else:
            self._first = self._first.masked_fill(unsound & (self._first < 0), step)
        self._total += total
        self._count += count
        self._norm = norm

    def unsound(self) -> Unsound:
        """Return what is known of steps that were not finite. Waits for the device."""
        first, skipped, in_a_row = torch.stack([self._first, self._skipped, self._in_a_row]).tolist()
        return Unsound(None if first < 0 else first, skipped, in_a_row)

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
