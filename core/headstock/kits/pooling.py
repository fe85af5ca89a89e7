"""One vector for a padded sequence, independent of the padding."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["masked_max", "masked_mean"]


def masked_mean(sequence: Tensor, mask: Tensor) -> Tensor:
    """Return the mean (B, D) over the true positions of ``mask`` (B, T); zero where there are none."""
    weights = mask.unsqueeze(-1).to(sequence.dtype)
    return (sequence * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


def masked_max(sequence: Tensor, mask: Tensor) -> Tensor:
    """Return the maximum (..., D) over the true positions of ``mask`` (..., T); zero where there are none."""
    lowest = torch.finfo(sequence.dtype).min
    highest = sequence.masked_fill(~mask.unsqueeze(-1), lowest).amax(dim=-2)
    return highest.masked_fill(~mask.any(dim=-1, keepdim=True), 0.0)
