"""SpecAugment: bands of frequency and stretches of time are blanked in training."""

from __future__ import annotations

import torch
from torch import Tensor


def spec_augment(
    spectrogram: Tensor, frames: Tensor, bands: int, band_share: float, stretches: int, stretch_share: float
) -> Tensor:
    """Return a spectrogram with random parts set to 0, its mean; each example has its own.

    Without time warping. Source: D. Park et al., "SpecAugment: A Simple Data Augmentation Method for Automatic Speech
    Recognition", Interspeech 2019.

    Args:
        spectrogram: Normalised spectrogram (B, T, F).
        frames: Real frames of each example (B,).
        bands: How many bands of frequency are blanked.
        band_share: A band covers 0 to this fraction of the F bins.
        stretches: How many stretches of time are blanked.
        stretch_share: A stretch covers 0 to this fraction of an example's frames.
    """
    size, time, frequency = spectrogram.shape
    in_band = _spans(frequency, torch.full((size,), frequency, device=frames.device), bands, band_share)
    in_stretch = _spans(time, frames, stretches, stretch_share)
    return spectrogram.masked_fill(in_band.unsqueeze(1) | in_stretch.unsqueeze(2), 0.0)


def _spans(size: int, lengths: Tensor, count: int, share: float) -> Tensor:
    """Return a mask (B, size), true in ``count`` random spans of the first ``lengths`` (B,) positions of each row."""
    uniform = torch.rand(2, len(lengths), count, device=lengths.device)
    width = (uniform[0] * ((lengths * share).floor() + 1).unsqueeze(1)).floor()
    start = (uniform[1] * (lengths.unsqueeze(1) - width + 1)).floor()
    position = torch.arange(size, device=lengths.device).view(1, 1, -1)
    inside = (position >= start.unsqueeze(2)) & (position < (start + width).unsqueeze(2))
    return inside.any(dim=1)
