"""The checks as tests: one function that raises, and one decorator for pytest."""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar

from headstock.testing.check import Check
from headstock.testing.runner import checks_for, run_check, run_checks, subject_of
from headstock.testing.subject import Subject
from headstock_registry import load_catalogue

F = TypeVar("F", bound=Callable[..., object])


class CheckCall:
    """A check on a component, to be called in a test."""

    def __init__(self, check: Check, kind: str, name: str, assignments: tuple[str, ...]) -> None:
        self.check, self.kind, self.name, self.assignments = check, kind, name, assignments

    def __call__(self) -> None:
        """Run the check.

        Raises:
            AssertionError: it failed; says what was expected, what came and what the rule is.
        """
        result = run_check(self.check, _subject(self.kind, self.name, self.assignments))
        if result.status == "skipped":
            import pytest

            pytest.skip(result.reason or "")
        if result.status == "failed":
            raise AssertionError(str(result))

    def __repr__(self) -> str:
        return f"{self.name}-{self.check.name}"


@cache
def _subject(kind: str, name: str, assignments: tuple[str, ...]) -> Subject:
    """Return one subject for all checks on a component: they share a finished run."""
    folder = tempfile.TemporaryDirectory(prefix="headstock-check-")
    atexit.register(folder.cleanup)
    catalogue = load_catalogue()
    return subject_of(catalogue, catalogue.get(kind, name), assignments, Path(folder.name))


def parametrize_with_checks(kind: str, name: str, assignments: Sequence[str] = ()) -> Callable[[F], F]:
    """Make a pytest test of each check on an installed component.

    ::

        @parametrize_with_checks("task", "my-task")
        def test_contract(check):
            check()

    Args:
        kind: ``task``, ``backbone``, ``adapter`` or ``method``.
        name: The component's name.
        assignments: ``section.key=value`` texts, as in :func:`headstock.testing.run_checks`.
    """
    import pytest

    calls = [CheckCall(check, kind, name, tuple(assignments)) for check in checks_for(kind)]
    return pytest.mark.parametrize("check", calls, ids=repr)


def check_task(name: str, assignments: Sequence[str] = ()) -> None:
    """Run all checks on an installed task.

    Raises:
        AssertionError: some failed; says for each what was expected, what came and what the rule is.
    """
    _check_all("task", name, assignments)


def check_backbone(name: str, assignments: Sequence[str] = ()) -> None:
    """Run all checks on an installed backbone. See :func:`check_task`."""
    _check_all("backbone", name, assignments)


def check_adapter(name: str, assignments: Sequence[str] = ()) -> None:
    """Run all checks on an installed adapter. See :func:`check_task`."""
    _check_all("adapter", name, assignments)


def check_method(name: str, assignments: Sequence[str] = ()) -> None:
    """Run all checks on an installed training method. See :func:`check_task`."""
    _check_all("method", name, assignments)


def _check_all(kind: str, name: str, assignments: Sequence[str]) -> None:
    results = list(run_checks(name, assignments, kind=kind))
    failed = [str(result) for result in results if result.status == "failed"]
    if failed:
        raise AssertionError("\n".join([f"{len(failed)} of {len(results)} checks failed", *failed]))
