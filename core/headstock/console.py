"""What a person sees while something runs: a live bar in a terminal, plain lines elsewhere, nothing when quiet.

Everything goes to standard error; standard output is for results.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from datetime import timedelta
from types import TracebackType
from typing import Self, TextIO

from tqdm import tqdm

from headstock.error_text import printable
from headstock.quiet import no_bars

PLAIN_INTERVAL = 10.0
"""Seconds between two lines of progress where there is no terminal."""


@contextmanager
def on_interrupt(line: Callable[[], str]) -> Iterator[None]:
    """Add a line for the person to a Ctrl-C that passes through, unless it has one; the command line prints it."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        if not getattr(interrupt, "__notes__", None):
            interrupt.add_note(line())
        raise


_current: ContextVar[Console | None] = ContextVar("console", default=None)


def tell(line: str) -> None:
    """Show a line, for code that is not given a console: where :meth:`Console.current` says, else on standard error."""
    (_current.get() or Console()).line(line)


class Bar:
    """Progress of one activity. ``items`` are what the speed counts (examples), ``total`` counts steps."""

    def __init__(self, stream: TextIO | None, label: str, total: int, done: int, unit: str) -> None:
        self._stream, self._label, self._total, self._unit = stream, label, total, unit
        self._steps, self._first_step, self._items, self._fields = done, done, 0, ""
        self._start = self._last = time.monotonic()
        live = stream is not None and stream.isatty()
        self._live = (
            tqdm(total=total, initial=done, desc=label, file=stream, dynamic_ncols=True, leave=False) if live else None
        )

    def advance(self, steps: int = 1, items: int = 0, fields: str = "") -> None:
        """Count steps and items; ``fields`` is a short text to show (a loss), kept until replaced."""
        self._steps += steps
        self._items += items
        self._fields = fields or self._fields
        now = time.monotonic()
        if self._live is not None:
            if self._items:
                rate = self._items / max(now - self._start, 1e-9)
                self._live.set_postfix_str(f"{self._fields} {rate:.0f} {self._unit}/s".strip(), refresh=False)
            self._live.update(steps)
        elif self._stream is not None and now - self._last >= PLAIN_INTERVAL:
            self._last = now
            print(self._line(now), file=self._stream, flush=True)

    def _line(self, now: float) -> str:
        elapsed = max(now - self._start, 1e-9)
        left = elapsed / max(self._steps - self._first_step, 1) * (self._total - self._steps)
        parts = [f"{self._label} {self._steps}/{self._total}", self._fields]
        parts.append(f"{self._items / elapsed:.0f} {self._unit}/s" if self._items else "")
        parts.append(f"{timedelta(seconds=round(left))} left")
        return ", ".join(part for part in parts if part)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.close()


class Console:
    """Where a run tells how it goes."""

    def __init__(self, quiet: bool = False, stream: TextIO | None = None) -> None:
        self._stream = None if quiet else stream or sys.stderr

    def line(self, text: str) -> None:
        """Show one line; a live bar is kept below it."""
        if self._stream is not None:
            tqdm.write(printable(text), file=self._stream)
            self._stream.flush()

    def warn(self, text: str) -> None:
        """Show a warning in one line, also when quiet; a live bar is kept below it."""
        tqdm.write(f"warning: {printable(text)}", file=self._stream or sys.stderr)

    @contextmanager
    def current(self) -> Iterator[None]:
        """Show here what :func:`tell` is given meanwhile; if this console is quiet, libraries draw no bars either."""
        token = _current.set(self)
        try:
            with no_bars() if self._stream is None else nullcontext():
                yield
        finally:
            _current.reset(token)

    @contextmanager
    def bar(self, label: str, total: int, done: int = 0, unit: str = "examples") -> Iterator[Bar]:
        """Show progress towards ``total`` steps, of which ``done`` lie behind already."""
        with Bar(self._stream, label, total, done, unit) as bar:
            yield bar
