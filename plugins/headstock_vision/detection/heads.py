"""What every detection head gives, and what a backbone that brings one of its own promises."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

NOTHING = -1
"""The label of positions in a table of objects that hold none."""


class Limits(NamedTuple):
    """Which objects count.

    Attributes:
        score: The least score.
        overlap: Intersection over union above which the weaker of two boxes with one label is left out.
        most: Objects of an image at most.
    """

    score: float
    overlap: float
    most: int


class DetectionHead(nn.Module):
    """Finds objects in a sequence of features.

    Called with features (B, T, D) and targets, which may be empty: ``labels`` (B, M), negative where there is no
    object, and ``boxes`` (B, M, 4), edges as shares of the image. It returns, with targets, ``losses`` (B,) and
    ``counts`` (B,), which add up over images; and in evaluation ``scores`` and ``labels`` (B, ``limits.most``) and
    ``boxes`` (B, ``limits.most``, 4), the best first, the label -1 where there are no more.
    """

    @abstractmethod
    def forward(self, sequence: Tensor, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return losses and objects."""


@runtime_checkable
class Detector(Protocol):
    """An image backbone that brings a detection head of its own."""

    def detection_head(self, labels: int, limits: Limits) -> DetectionHead:
        """Return the head for so many labels, with pretrained weights where there are any."""


def padded(found: Sequence[tuple[Tensor, Tensor, Tensor]], most: int) -> dict[str, Tensor]:
    """Put the objects of several images, each scores (M,), labels (M,) and boxes (M, 4), into tables."""
    scores, _, boxes = found[0]
    tables = {
        "scores": scores.new_zeros(len(found), most),
        "labels": torch.full((len(found), most), NOTHING, device=scores.device),
        "boxes": boxes.new_zeros(len(found), most, 4),
    }
    for row, values in enumerate(found):
        for table, value in zip(tables.values(), values, strict=True):
            table[row, : len(value)] = value
    return tables
