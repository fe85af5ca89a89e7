"""The values that flow through one step: examples, a batch, features, loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn, cast

import torch
from torch import Tensor

from headstock_registry import HeadstockError

Example = dict[str, Tensor]
"""One preprocessed example: named tensors without a batch dimension."""


class Features(NamedTuple):
    """What a backbone makes of a batch.

    Attributes:
        sequence: Float tensor (B, T, D), one vector a token, patch or frame.
        mask: Bool tensor (B, T), true where ``sequence`` holds something real.
        pooled: Float tensor (B, D), one vector an example.
    """

    sequence: Tensor
    mask: Tensor
    pooled: Tensor

    def tensors(self) -> list[Tensor]:
        """Return what was kept, see :func:`not_kept`."""
        return [value for value in self if isinstance(value, Tensor)]

    def map(self, function: Callable[[Tensor], Tensor]) -> Features:
        """Return the features with ``function`` applied to all that was kept."""
        return Features(*(function(value) if isinstance(value, Tensor) else value for value in self))


class _NotKept:
    """Stands for features that a task has not declared it reads; whatever touches it raises."""

    def __getattr__(self, name: str) -> NoReturn:
        raise RuntimeError(NOT_KEPT)

    def __getitem__(self, key: object) -> NoReturn:
        raise RuntimeError(NOT_KEPT)

    def __len__(self) -> NoReturn:
        raise RuntimeError(NOT_KEPT)

    @classmethod
    def __torch_function__(cls, *arguments: Any, **options: Any) -> NoReturn:
        raise RuntimeError(NOT_KEPT)


NOT_KEPT = "the task reads features that are not in its `reads` (features.sequence and features.mask are 'sequence')"
"""What is said where a task touches features that were not kept for it."""


def not_kept() -> Tensor:
    """Return a stand-in for ``sequence`` and ``mask`` where a task does not read them; touching it raises."""
    return cast("Tensor", _NotKept())


@dataclass(frozen=True)
class Batch:
    """Examples put together.

    Attributes:
        inputs: What the backbone collated, for its own eyes and for the head (e.g. positions to gather).
        targets: What the task collated; empty when there is nothing to compare with (prediction).
        size: Number of examples.
        features: What the backbone makes of ``inputs``, where that was computed before; else ``None``.
        indices: Which examples of their split these are, int64 (B,); for methods that keep something by example.
    """

    inputs: dict[str, Tensor]
    targets: dict[str, Tensor]
    size: int
    features: Features | None = None
    indices: Tensor | None = None

    def map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """Return the batch with ``function`` applied to every tensor but the indices, which stay on the CPU."""
        return Batch(
            {name: function(value) for name, value in self.inputs.items()},
            {name: function(value) for name, value in self.targets.items()},
            self.size,
            None if self.features is None else self.features.map(function),
            self.indices,
        )

    def tensors(self) -> list[Tensor]:
        """Return all tensors: inputs, targets, and features where there are any."""
        features = [] if self.features is None else self.features.tensors()
        return [*self.inputs.values(), *self.targets.values(), *features]

    def to(self, device: torch.device) -> Batch:
        """Return the batch on ``device``; the copy does not block the host."""

        def move(value: Tensor) -> Tensor:
            # Only from pinned memory does a copy to the GPU run beside the host.
            if device.type == "cuda" and value.device.type == "cpu":
                value = value.pin_memory()
            return value.to(device, non_blocking=True)

        return self.map(move)


@dataclass(frozen=True)
class Loss:
    """A loss summed over what was counted.

    The trainer divides the sum of ``total`` by the sum of ``count`` over a whole accumulation window, so that how
    examples are cut into batches never changes the gradient.

    Attributes:
        total: Scalar tensor, the sum of the losses of the counted items.
        count: Scalar tensor, how many items (or how much weight) ``total`` sums over.
    """

    total: Tensor
    count: Tensor


@dataclass(frozen=True)
class StepOutput:
    """What one forward pass gives: the task's outputs (each with a batch dimension) and, with targets, the loss."""

    outputs: dict[str, Tensor]
    loss: Loss | None = None

    def require_loss(self) -> Loss:
        """Return the loss of a training batch.

        Raises:
            HeadstockError: the task gave none.
        """
        if self.loss is None:
            raise HeadstockError("the task gave no loss for a training batch")
        return self.loss
