"""What a check is, and how it says that something is wrong."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from headstock.testing.subject import Subject

KINDS = ("task", "backbone", "adapter", "method")
"""Kinds of component that are checked."""


class CheckFailure(AssertionError):  # noqa: N818 - not an error of the program
    """A component does not do what its kind promises.

    Attributes:
        expected: What should have been, in one line.
        came: What was instead.
    """

    def __init__(self, expected: str, came: str) -> None:
        super().__init__(f"expected {expected}; came {came}")
        self.expected, self.came = expected, came


class NotApplicable(Exception):  # noqa: N818
    """The check has nothing to look at here, and says why."""


@dataclass(frozen=True)
class Check:
    """One promise and how it is tested.

    Attributes:
        name: Group and promise, such as ``data-labels-from-training``.
        kinds: Kinds of component that make the promise.
        function: Raises :class:`CheckFailure` when it is broken.
    """

    name: str
    kinds: tuple[str, ...]
    function: Callable[[Subject], None]

    @property
    def explanation(self) -> str:
        """The promise in full."""
        return inspect.getdoc(self.function) or ""

    @property
    def summary(self) -> str:
        """The promise in one line."""
        return self.explanation.split("\n", 1)[0]


def check(name: str, *kinds: str) -> Callable[[Callable[[Subject], None]], Check]:
    """Make a :class:`Check` of a function; its docstring is the promise."""

    def make(function: Callable[[Subject], None]) -> Check:
        return Check(name, kinds, function)

    return make


def expect(condition: bool, expected: str, came: str) -> None:
    """Raise :class:`CheckFailure` unless ``condition`` holds."""
    if not condition:
        raise CheckFailure(expected, came)


class CheckResult(BaseModel):
    """What became of one check on one component.

    ``rule`` is the promise in full. ``expected`` and ``came`` are set where it failed, ``reason`` where it had nothing
    to look at.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    component: str
    check: str
    status: Literal["passed", "failed", "skipped"]
    summary: str
    rule: str
    expected: str | None = None
    came: str | None = None
    reason: str | None = None
    seconds: float

    def __str__(self) -> str:
        line = f"{self.component}: {self.check}: {self.status}"
        if self.status == "failed":
            rule = textwrap.indent(self.rule, "           ").lstrip()
            return f"{line}\n  expected {self.expected}\n  came     {self.came}\n  rule     {rule}"
        return f"{line} ({self.reason})" if self.reason else line
