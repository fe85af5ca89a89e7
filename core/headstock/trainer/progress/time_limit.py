"""How much of the time that training may take has passed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+(?:\.\d+)?)m(?:in)?)?(?:(\d+(?:\.\d+)?)s)?")
_SECONDS = (86400, 3600, 60, 1)

FIRST_VALIDATION = 0.4
"""Share of the time after which the model is validated at the latest: how long that takes must be known before the end,
and there must be weights to keep."""


def read_duration(value: Any) -> Any:
    """Return the seconds that a text such as ``10m``, ``1h30m`` or ``90s`` says; a number is seconds already.

    Raises:
        ValueError: the text says no duration.
    """
    if not isinstance(value, str):
        return value
    text = value.replace(" ", "").casefold()
    try:
        return float(text)
    except ValueError:
        found = _DURATION.fullmatch(text)
    if not text or found is None:
        raise ValueError("must be a duration such as 90s, 10m or 1h30m, or a number of seconds")
    return sum(float(part) * seconds for part, seconds in zip(found.groups(), _SECONDS, strict=True) if part)


Seconds = Annotated[
    float,
    BeforeValidator(read_duration),
    Field(gt=0, le=1e9),
    WithJsonSchema({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string"}]}),
]
"""Type of an option that takes a duration."""


class TimeLimit:
    """Tells when training must end so that its last validation and checkpoint end in time.

    Args:
        seconds: How long training may take, validations and checkpoints included; ``None``: as long as it takes.
        before: Seconds that earlier sessions of a resumed run took.
        clock: Returns seconds.
    """

    def __init__(self, seconds: float | None, before: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self._seconds, self._clock = seconds, clock
        self._began = clock() - before
        self._longest_pause, self._validated = 0.0, False
        self._step_began = clock()
        self._longest_step = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds so far, those of earlier sessions included."""
        return self._clock() - self._began

    @property
    def fraction(self) -> float:
        """Share of the time for steps that has passed, from 0 to 1; 0 where there is no limit."""
        if self._seconds is None:
            return 0.0
        return min(self.elapsed / max(self._seconds - self._longest_pause, 1e-9), 1.0)

    @property
    def reached(self) -> bool:
        """Whether another step, a validation and a checkpoint would not end in time."""
        needed = self._longest_step + self._longest_pause
        return self._seconds is not None and self.elapsed + needed >= self._seconds

    @property
    def wants_validation(self) -> bool:
        """Whether it is time for a first validation."""
        late = self._seconds is not None and self.elapsed >= FIRST_VALIDATION * self._seconds
        return late and not self._validated

    def end_step(self) -> None:
        """Note that a step has ended."""
        now = self._clock()
        self._longest_step = max(self._longest_step, now - self._step_began)
        self._step_began = now

    @contextmanager
    def pause(self, validates: bool) -> Iterator[None]:
        """Measure a checkpoint and, if it ``validates``, a validation; the last one takes as long."""
        began = self._clock()
        yield
        now = self._clock()
        self._longest_pause = max(self._longest_pause, now - began)
        self._validated |= validates
        self._step_began = now
