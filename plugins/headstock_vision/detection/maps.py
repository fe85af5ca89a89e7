"""Where in the image the vectors of a feature sequence lie."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from headstock import Backbone, HeadstockError


class Maps(NamedTuple):
    """Square feature maps that a sequence consists of, row by row, the finest first.

    Attributes:
        prefix: Vectors before the first map that belong to no position (class tokens).
        sides: Cells along an edge of each map.
    """

    prefix: int
    sides: tuple[int, ...]

    def split(self, sequence: Tensor) -> list[Tensor]:
        """Return each map (B, D, side, side) of a sequence (B, T, D)."""
        parts = torch.split(sequence[:, self.prefix :], [side * side for side in self.sides], dim=1)
        return [
            part.transpose(1, 2).reshape(len(part), -1, side, side)
            for part, side in zip(parts, self.sides, strict=True)
        ]


@torch.no_grad()
def maps_of(backbone: Backbone) -> Maps:
    """Return the maps of an image backbone, found out with one grey image.

    A backbone with several maps says so in ``map_sides``; else the sequence is read as one square map, behind as many
    tokens as are left over.

    Raises:
        HeadstockError: the backbone gives one vector for the whole image.
    """
    sides: tuple[int, ...] | None = getattr(backbone, "map_sides", None)
    if sides is not None:
        return Maps(0, sides)
    training = backbone.training
    backbone.eval()
    grey = np.full((64, 64, 3), 127, dtype=np.uint8)
    inputs = backbone.collate([backbone.preprocess({"image": grey, "whole": True})])
    device = next(backbone.parameters()).device
    length = backbone({name: value.to(device) for name, value in inputs.items()}).sequence.shape[1]
    backbone.train(training)
    side = math.isqrt(length)
    if side < 2:
        raise HeadstockError(
            f"this {type(backbone).__name__} gives one vector for the whole image, in which no object has a position; "
            "take a backbone with a feature map"
        )
    return Maps(length - side * side, (side,))
