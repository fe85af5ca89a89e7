"""Runs checks on a component and records what became of them."""

from __future__ import annotations

import tempfile
import time
import traceback
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from headstock.testing.check import Check, CheckFailure, CheckResult, NotApplicable
from headstock.testing.checks import CHECKS
from headstock.testing.subject import Subject, undisturbed
from headstock_registry import Catalogue, Entry, HeadstockError, UnknownNameError, load_catalogue, nearest


def checks_for(kind: str, only: Iterable[str] | None = None) -> tuple[Check, ...]:
    """Return the checks of one kind of component (``task``, ``backbone``, ``adapter`` or ``method``), or those named.

    Raises:
        UnknownNameError: there is no such kind, or the kind has no such check.
    """
    found = {check.name: check for check in CHECKS if kind in check.kinds}
    if not found:
        raise UnknownNameError(f"nothing of kind '{kind}' is checked; task, backbone, adapter and method are")
    if only is None:
        return tuple(found.values())
    names = list(only)
    for name in names:
        if name not in found:
            raise UnknownNameError(f"a {kind} has no check '{name}'{nearest(name, found)}")
    return tuple(check for name, check in found.items() if name in names)


def run_checks(
    name: str,
    assignments: Sequence[str] = (),
    *,
    kind: str | None = None,
    only: Iterable[str] | None = None,
    catalogue: Catalogue | None = None,
) -> Iterator[CheckResult]:
    """Yield the result of each check on an installed component, as soon as it is there.

    Args:
        name: The component's name.
        assignments: ``section.key=value`` texts for the recipe on which it is checked: options without a default,
            or another task, backbone or adapter beside it.
        kind: ``task``, ``backbone``, ``adapter`` or ``method``, where several have the name.
        only: Names of the checks to run; default all that the kind has.
        catalogue: The installed plugins, if they are loaded already.

    Raises:
        HeadstockError: there is no such component, or it cannot be checked with what is installed.
    """
    catalogue = catalogue or load_catalogue()
    entries = catalogue.find(name) if kind is None else (catalogue.get(kind, name),)
    chosen = None if only is None else list(only)
    for entry in entries:
        if entry.kind == "command":
            continue
        with tempfile.TemporaryDirectory(prefix="headstock-check-") as folder:
            subject = subject_of(catalogue, entry, assignments, Path(folder))
            for check in checks_for(entry.kind, chosen):
                yield run_check(check, subject)


def subject_of(catalogue: Catalogue, entry: Entry, assignments: Sequence[str], folder: Path) -> Subject:
    """Return a component with all that it is checked with.

    Raises:
        HeadstockError: the assignments are wrong or too few, or nothing installed goes with the component.
    """
    for text in assignments:
        if text.split("=", 1)[0] in (entry.kind, f"{entry.kind}.name"):
            raise HeadstockError(f"'{text}': what is checked is {entry}; only what stands beside it can be named")
    subject = Subject(catalogue, entry, assignments, folder)
    subject.resolved()
    return subject


def run_check(check: Check, subject: Subject) -> CheckResult:
    """Run one check. Whatever a component raises is a result, never an error of the caller."""
    started = time.perf_counter()
    outcome: dict[str, str] = {"status": "passed"}
    try:
        with undisturbed(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check.function(subject)
    except NotApplicable as reason:
        outcome = {"status": "skipped", "reason": str(reason)}
    except CheckFailure as failure:
        outcome = {"status": "failed", "expected": failure.expected, "came": failure.came}
    except Exception as error:  # a plugin's code may raise anything
        came = f"{type(error).__name__}: {' '.join(str(error).split())} ({_place(error, subject.entry)})"
        outcome = {"status": "failed", "expected": "no error", "came": came}
    return CheckResult.model_validate(
        {
            "component": str(subject.entry),
            "check": check.name,
            "summary": check.summary,
            "rule": check.explanation,
            "seconds": round(time.perf_counter() - started, 3),
            **outcome,
        }
    )


def _place(error: Exception, entry: Entry) -> str:
    """Return the line of the component's own package that an error went through last, or where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    package = entry.target.split(":")[0].split(".")[0]
    own = [frame for frame in frames if package in Path(frame.filename).parts or Path(frame.filename).stem == package]
    frame = (own or frames)[-1]
    return f"{Path(frame.filename).name} line {frame.lineno}, in {frame.name}"
