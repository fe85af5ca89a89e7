"""Random choices that are always the same ones, for samples made from patterns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch

T = TypeVar("T")


class Draws:
    """Draws from a random generator of its own, so that a run's seed changes nothing."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Return the items in another order."""
        return [items[int(i)] for i in torch.randperm(len(items), generator=self._generator)]

    def pick(self, items: Sequence[T]) -> T:
        """Return one of the items."""
        return items[self.number(0, len(items))]

    def number(self, low: int, high: int) -> int:
        """Return a number from ``low``, below ``high``."""
        return int(torch.randint(low, high, (), generator=self._generator))
