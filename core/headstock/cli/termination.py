"""SIGTERM ends a command as Ctrl-C does: what is open is closed, and a line says how to resume."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

from headstock.distributed import launched

EXIT_CODES = {signal.SIGINT: 128 + signal.SIGINT, signal.SIGTERM: 128 + signal.SIGTERM}
"""Exit codes as shells expect them."""


class TerminatedError(KeyboardInterrupt):
    """SIGTERM came. Whatever lets a Ctrl-C through lets this through."""


def exit_code(cause: BaseException | None) -> int:
    """Return the exit code of a command that a signal ended."""
    return EXIT_CODES[signal.SIGTERM if isinstance(cause, TerminatedError) else signal.SIGINT]


def end_in_order() -> None:
    """Let SIGTERM raise :class:`TerminatedError` in the main thread; the trainer takes it itself while it trains.

    A second one ends the process at once. In a process that torchrun started further ones are ignored, for SLURM and
    torchrun both send one; and a process that has an error to deal with ends without a word: torchrun sends SIGTERM to
    all others when one of them has failed, and that one has said why.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _receive)


def _receive(number: int, frame: FrameType | None) -> None:
    del number, frame
    if launched() and sys.exc_info()[0] is not None:
        os._exit(EXIT_CODES[signal.SIGTERM])
    signal.signal(signal.SIGTERM, signal.SIG_IGN if launched() else signal.SIG_DFL)
    raise TerminatedError
