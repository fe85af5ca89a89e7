"""CUDA graphs: work of a GPU captured once and replayed as one."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import torch

WAITED = "called a synchronizing CUDA operation"
"""What torch says of an operation that waits for the GPU where that is an error."""


class WaitsError(RuntimeError):
    """Something waited for the device, which a graph cannot."""


class Capturer(Protocol):
    """Captures what is done on a device."""

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """Capture all that ``work`` asks of the device, without doing it; return a callable that replays it.

        All graphs share memory, so what one leaves there is gone after the next.

        Raises:
            RuntimeError: the work cannot be captured, or memory ran out; call :meth:`recover`.
        """

    def warmup(self) -> AbstractContextManager[None]:
        """Let what runs meanwhile take the code paths of a capture; it is done, too.

        Raises:
            WaitsError: it waited for the device.
        """

    def wait(self) -> None:
        """Wait until the device has done what it was asked."""

    def recover(self) -> None:
        """Put the device in order after a capture that broke off, and hand memory back."""


class CudaGraphCapturer:
    """A capturer for a GPU.

    Args:
        device: A CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """See :meth:`Capturer.capture`."""
        graph = torch.cuda.CUDAGraph()
        # A capture that breaks off leaves its own stream the current one; the outer context puts that right.
        with (
            torch.cuda.stream(torch.cuda.current_stream(self._device)),
            torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"),
        ):
            work()
        return graph.replay

    @contextmanager
    def warmup(self) -> Iterator[None]:
        """See :meth:`Capturer.warmup`."""
        before = torch.cuda.get_sync_debug_mode()
        asked = torch.cuda.is_current_stream_capturing
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns that it does not know of all such operations
            torch.cuda.set_sync_debug_mode("error")
        torch.cuda.is_current_stream_capturing = lambda: True  # transformers asks this before it looks at masks
        try:
            yield
        except RuntimeError as error:
            if WAITED in str(error):
                raise WaitsError(str(error)) from error
            raise
        finally:
            torch.cuda.is_current_stream_capturing = asked
            torch.cuda.set_sync_debug_mode(before)

    def wait(self) -> None:
        """See :meth:`Capturer.wait`."""
        torch.cuda.synchronize(self._device)

    def recover(self) -> None:
        """See :meth:`Capturer.recover`."""
        # The random generator is left in between.
        fresh = torch.Generator(self._device)
        torch.cuda.default_generators[fresh.device.index].graphsafe_set_state(fresh.graphsafe_get_state())
        torch.cuda.empty_cache()
