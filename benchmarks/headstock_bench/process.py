"""Runs a command to its end in a process of its own, and passes signals on to it."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NamedTuple, Protocol, Self

from headstock import HeadstockError, explain_write_errors

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StoppedError(HeadstockError):
    """The benchmark was asked to stop. ``exit_code`` is 128 + the signal's number, as shells expect."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number
        self.exit_code = 128 + number


class Ending(NamedTuple):
    """How a process ended: its exit code (negative: the signal that killed it), its seconds, the last line it wrote."""

    code: int
    seconds: float
    last_line: str

    @property
    def error(self) -> str:
        """Why it failed, in a line."""
        if self.code < 0:
            return f"killed by {signal.Signals(-self.code).name}"
        return self.last_line.removeprefix("error: ") or f"exit code {self.code} without a word"


class Receiver(Protocol):
    """What signals can be passed on to, such as a process."""

    def send_signal(self, sig: int, /) -> None:
        """Take a signal."""


def run_process(
    command: Sequence[str],
    log: Path,
    held: Sequence[int] = (),
    *,
    folder: Path | None = None,
    wake: float | None = None,
) -> Ending:
    """Run a command; what it writes goes to ``log``.

    SIGINT, SIGTERM and SIGHUP are passed on, and the process is given the time that it takes to stop: a run saves its
    state first. It is in a process group of its own, so that a terminal's Ctrl-C reaches it once and not twice, which
    would make it stop without saving.

    Args:
        command: Program and arguments.
        log: File to write, replaced if it is there.
        held: File descriptors that the process keeps open, such as a lock that is to last as long as it.
        folder: Its working directory; default the present one.
        wake: Seconds between two looks for signals, where they are simulated ones that do not wake a waiting process.

    Raises:
        StoppedError: a signal came in the meantime.
    """
    started = time.perf_counter()
    with explain_write_errors(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        stream = log.open("wb")
    with stream, PassingOn() as signals:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            process_group=0,
            pass_fds=tuple(held),
            cwd=folder,
        )
        signals.to(process)
        code = _wait(process, wake)
    if signals.number is not None:
        raise StoppedError("stopped", signals.number)
    lines = [line.strip() for line in log.read_text("utf-8", errors="replace").splitlines()]
    return Ending(code, time.perf_counter() - started, next(filter(None, reversed(lines)), ""))


def _wait(process: subprocess.Popen[bytes], wake: float | None) -> int:
    while True:
        try:
            return process.wait(wake)
        except subprocess.TimeoutExpired:
            continue


class PassingOn:
    """While active, passes signals on to a process and remembers the first. Signals that are ignored stay ignored."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._process: Receiver | None = None
        self._before: dict[signal.Signals, Any] = {}

    def to(self, process: Receiver) -> None:
        """Say which process; a signal that came before is passed on now."""
        self._process = process
        if self.number is not None:
            process.send_signal(self.number)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.number = self.number or number
        if self._process is not None:
            self._process.send_signal(number)

    def __enter__(self) -> Self:
        for number in PASSED_ON:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
