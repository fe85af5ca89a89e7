"""The tables that end a command."""

from __future__ import annotations

from headstock.interfaces import Details
from headstock.report.result import RunResult


def before_after(result: RunResult) -> str:
    """Return the test metrics before and after tuning, and where everything is."""
    before, after = result.before.metrics, result.after.metrics
    rows = [(name, f"{before[name]:.4f}", f"{after[name]:.4f}", f"{after[name] - before[name]:+.4f}") for name in after]
    lines = [f"{result.task} on {result.examples['test']} test examples", ""]
    lines += _aligned([("metric", "before", "after", "change"), *rows])
    training = result.training
    lines += [
        "",
        f"{result.trainable_parameters:,} of {result.parameters:,} parameters trained in {training.steps} steps, "
        f"{training.examples_per_second:.0f} examples/s; best validation {training.best_metric} "
        f"{training.best_value:.4f} at step {training.best_step}"
        + (", stopped early" if training.stopped_early else ""),
        f"everything is in {result.path}; use it: headstock predict {result.path} INPUT…",
    ]
    return "\n".join(lines)


def metrics_table(metrics: dict[str, float], details: Details) -> str:
    """Return metrics, and under them the metrics per class where there are any."""
    lines = _aligned([("metric", "value"), *((name, f"{value:.4f}") for name, value in metrics.items())])
    if details.per_class:
        columns = list(next(iter(details.per_class.values())))
        rows = [(name, *(f"{values[c]:.4f}" for c in columns)) for name, values in details.per_class.items()]
        lines += ["", *_aligned([("class", *columns), *rows])]
    return "\n".join(lines)


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return lines
