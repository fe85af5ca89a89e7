"""Batches on their way to the GPU, beside what it is computing."""

from __future__ import annotations

import torch

from headstock.interfaces import Batch


class Transfer:
    """Moves batches to a device; to a GPU from pinned memory and on a stream of its own.

    The copy of a batch so runs beside the step before, and only the step that needs it waits for it, on the device:
    the host waits for neither.

    Args:
        device: Where the batches are needed.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = None
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def __call__(self, batch: Batch) -> Batch:
        """Return the batch on the device, for use on the current stream."""
        if self._stream is None:
            return batch.to(self._device)
        user = torch.cuda.current_stream(self._device)
        with torch.cuda.stream(self._stream):
            moved = batch.to(self._device)
        user.wait_stream(self._stream)

        def used(tensor: torch.Tensor) -> torch.Tensor:
            # Else its memory would be handed out again as soon as Python lets go of it, while the user still reads.
            tensor.record_stream(user)
            return tensor

        return moved.map(used)
