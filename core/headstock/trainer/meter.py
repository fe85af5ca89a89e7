"""What accumulates on the device between two logged steps, so that the host need not wait for it."""

from __future__ import annotations

import torch
from torch import Tensor


class Meter:
    """Sums losses and remembers the first step whose loss or gradient was not finite.

    Args:
        device: Where the losses are.
        total: Summed loss since the last log, of a run that goes on.
        count: Its count.
    """

    def __init__(self, device: torch.device, total: float, count: float) -> None:
        self._total = torch.tensor(total, device=device)
        self._count = torch.tensor(count, device=device)
        self._norm = torch.zeros((), device=device)
        self._unsound_step = torch.tensor(-1, device=device)

    def add(self, total: Tensor, count: Tensor, norm: Tensor, step: int) -> None:
        """Take in one optimizer step. Asks nothing of the device."""
        self._total += total
        self._count += count
        self._norm = norm
        unsound = ~torch.isfinite(total + norm) & (self._unsound_step < 0)
        self._unsound_step = torch.where(unsound, step, self._unsound_step)

    def unsound_step(self) -> int | None:
        """Return the first step that was not finite. Waits for the device."""
        step = int(self._unsound_step)
        return None if step < 0 else step

    def read(self) -> dict[str, float]:
        """Return the mean loss since the last call and the last gradient norm, and start over. Waits for the device."""
        mean = float(self._total) / float(self._count)
        self._total.zero_()
        self._count.zero_()
        return {"loss": mean, "grad_norm": float(self._norm)}

    def sums(self) -> tuple[float, float]:
        """Return summed loss and count since the last :meth:`read`, for a checkpoint."""
        return float(self._total), float(self._count)
