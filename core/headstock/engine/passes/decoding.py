"""Decoding of outputs on the host, beside what a GPU computes of the next batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from headstock.interfaces import Batch
from headstock.trainer.plan.batches import Indices

Decode = Callable[[dict[str, Tensor], Batch], list[Any]]


class _Computed(NamedTuple):
    """A batch whose outputs are on the host, or will be once ``arrived`` says so."""

    indices: Indices
    batch: Batch
    outputs: dict[str, Tensor]
    arrived: torch.cuda.Event | None


class Decoder:
    """Makes predictions of outputs and puts them into the caller's order.

    Args:
        decode: Makes predictions of a batch's outputs, as :meth:`headstock.Task.decode` does.
        size: Number of examples.
        device: Where outputs are computed. If it is a GPU, a batch is decoded when the next one has been launched.
    """

    def __init__(self, decode: Decode, size: int, device: torch.device) -> None:
        self._decode_batch, self._device = decode, device
        self._waiting: deque[_Computed] = deque()
        self.predictions: list[Any] = [None] * size
        """One an example; ``None`` where it is not decoded yet."""

    def push(self, indices: Indices, batch: Batch, outputs: dict[str, Tensor]) -> None:
        """Take what was computed of a batch (that on the host), and decode as much as does not have to be waited for.

        Tasks see floats in float32.
        """
        on_gpu = self._device.type == "cuda"
        plain = {name: value.float() if value.is_floating_point() else value for name, value in outputs.items()}
        fetched = {name: value.to("cpu", non_blocking=on_gpu) for name, value in plain.items()}
        arrived = None
        if on_gpu:
            arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrived.record()
        self._waiting.append(_Computed(indices, batch, fetched, arrived))
        self._decode(1 if on_gpu else 0)

    def finish(self) -> None:
        """Decode the rest."""
        self._decode(0)

    def _decode(self, left: int) -> None:
        while len(self._waiting) > left:
            done = self._waiting.popleft()
            if done.arrived is not None:
                done.arrived.synchronize()
            decoded = self._decode_batch(done.outputs, done.batch)
            for index, prediction in zip(done.indices.tolist(), decoded, strict=True):
                self.predictions[index] = prediction
