"""The tables that end a command."""

from __future__ import annotations

import math
from collections.abc import Mapping

from headstock.error_text import clipped, printable
from headstock.interfaces import Details
from headstock.report.result import RunResult
from headstock.text_table import aligned

LONGEST_CELL = 80
"""Characters of a label that the tables show."""
UNKNOWN = "–"
"""Printed for a metric that is not a finite number."""


def before_after(result: RunResult) -> str:
    """Return the test metrics before and after tuning, and where everything is."""
    lines = [f"{result.task} on {result.examples['test']} test examples", ""]
    lines += _aligned(changes(result))
    training, path = result.training, printable(str(result.path))
    lines += [
        "",
        f"{result.trainable_parameters:,} of {result.parameters:,} parameters trained in {training.steps} steps, "
        f"{training.examples_per_second:.0f} examples/s; best validation {printable(training.best_metric)} "
        f"{figure(training.best_value)} at step {training.best_step}"
        + (", stopped early" if training.stopped_early else ""),
        *training.notes,
        f"everything is in {path}; use it: headstock predict {path} INPUT…",
    ]
    return "\n".join(lines)


def metrics_table(metrics: Mapping[str, float | None], details: Details) -> str:
    """Return metrics, and under them the metrics per class where there are any."""
    lines = _aligned([("metric", "value"), *((name, figure(value)) for name, value in metrics.items())])
    if details.per_class:
        lines += ["", *_aligned(class_rows(details))]
    return "\n".join(lines)


def figure(value: float | None, sign: str = "") -> str:
    """Return a metric for people, a dash where it is not a number. ``sign="+"`` shows the sign of positive ones too."""
    return UNKNOWN if value is None or not math.isfinite(value) else f"{value:{sign}.4f}"


def changes(result: RunResult) -> list[tuple[str, ...]]:
    """Return the test metrics as rows, the header first: baseline, where there is one, before, after and change."""
    has_baseline = result.baseline is not None
    rows: list[tuple[str, ...]] = [("metric", *["baseline"] * has_baseline, "before", "after", "change")]
    for name, value in result.after.metrics.items():
        was = result.before.metrics[name]
        change = None if value is None or was is None else value - was
        alone = () if result.baseline is None else (figure(result.baseline.get(name)),)
        rows.append((name, *alone, figure(was), figure(value), figure(change, "+")))
    return rows


def class_rows(details: Details) -> list[tuple[str, ...]]:
    """Return the metrics per class as rows, the header first. A column of counts is printed as whole numbers."""
    columns = list(next(iter(details.per_class.values())))
    counts = {column for column in columns if _is_count([values[column] for values in details.per_class.values()])}
    rows: list[tuple[str, ...]] = [("class", *columns)]
    for name, values in details.per_class.items():
        rows.append((name, *(str(int(values[c])) if c in counts else figure(values[c]) for c in columns)))
    return rows


def _is_count(values: list[float]) -> bool:
    return all(float(value).is_integer() for value in values) and max(values) > 1


def _cell(text: str) -> str:
    return clipped(printable(text), LONGEST_CELL)


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    return aligned([tuple(map(_cell, row)) for row in rows], right=True)
