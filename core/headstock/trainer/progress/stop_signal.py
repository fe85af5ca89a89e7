"""SIGINT and SIGTERM end a run at the next step boundary, with a checkpoint."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from headstock_registry import HeadstockError


class InterruptedRunError(HeadstockError):
    """The run was asked to stop; its state is on disk. ``exit_code`` is 128 + the signal's number, as shells expect."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


class StopSignal:
    """Remembers the first SIGINT or SIGTERM while active; the second one acts as if this were not here.

    In a process that torchrun started, all further ones are taken too: SLURM signals every process of a job, and
    torchrun passes on the signal that it got itself, so that one request arrives twice. torchrun kills what does not
    end.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._before: dict[int, Any] = {}

    def _receive(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.number = number
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
