"""The model's buffers as they were before a step, for a step that must not count."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BufferSnapshot:
    """A snapshot of what a forward pass changes besides gradients: running means and the like.

    Args:
        model: Its persistent buffers are meant; their shapes do not change.
    """

    def __init__(self, model: nn.Module) -> None:
        # A module may replace a buffer by another tensor, so buffers are looked up by name.
        self._owners = [
            (module, name)
            for module in model.modules()
            for name, buffer in module._buffers.items()
            if buffer is not None and name not in module._non_persistent_buffers_set
        ]
        self._copies = [buffer.detach().clone() for buffer in self._current()]

    def save(self) -> None:
        """Copy the buffers as they are now. Asks nothing of the device."""
        if self._copies:
            with torch.no_grad():
                torch._foreach_copy_(self._copies, self._current())

    def restore(self) -> None:
        """Give the buffers the content that was copied."""
        if self._copies:
            with torch.no_grad():
                torch._foreach_copy_(self._current(), self._copies)

    def restore_where(self, condition: Tensor) -> None:
        """Give the buffers the content that was copied if ``condition``, a bool scalar tensor; asks nothing of it."""
        with torch.no_grad():
            for buffer, copy in zip(self._current(), self._copies, strict=True):
                buffer.copy_(torch.where(condition, copy, buffer))

    def _current(self) -> list[Tensor]:
        return [getattr(module, name) for module, name in self._owners]
