"""Random changes to training images that leave their label what it is.

Everything works on collated uint8 pixels (B, 3, H, W), draws from torch's global generator, and treats each image of
a batch by itself.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.transforms import v2

SHIFT = 8
"""Images are shifted by up to their size divided by this (4 pixels of 32, as is usual for CIFAR)."""


def shift_and_flip(pixels: Tensor, flip: bool) -> Tensor:
    """Shift each image by up to an eighth in both directions and, if asked to, mirror every second one.

    What comes in at the edge is the image reflected. The whole batch is one gather.
    """
    count, channels, height, width = pixels.shape
    device = pixels.device
    rows = _shifted(height, count, device)
    columns = _shifted(width, count, device)
    if flip:
        mirrored = torch.rand(count, 1, device=device) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    image = torch.arange(count, device=device)[:, None, None, None]
    channel = torch.arange(channels, device=device)[None, :, None, None]
    return pixels[image, channel, rows[:, None, :, None], columns[:, None, None, :]]


def _shifted(size: int, count: int, device: torch.device) -> Tensor:
    """Return for each of ``count`` images which of its rows (or columns) comes to lie where: (count, size)."""
    most = size // SHIFT
    shifts = torch.randint(-most, most + 1, (count, 1), device=device)
    positions = (torch.arange(size, device=device) + shifts).abs()
    return size - 1 - (size - 1 - positions).abs()


class Strong:
    """RandAugment (Cubuk et al. 2020) at its usual setting and random erasing (Zhong et al. 2020), image by image."""

    def __init__(self) -> None:
        # rotations stay under 10 degrees at this magnitude, so that a 6 does not become a 9
        self._change = v2.Compose([v2.RandAugment(num_ops=2, magnitude=9), v2.RandomErasing(p=0.25, value=127)])

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return changed pixels, uint8 (B, 3, H, W)."""
        return torch.stack([self._change(image) for image in pixels])
