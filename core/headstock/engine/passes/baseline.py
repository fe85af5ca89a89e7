"""Metrics of a prediction that needs no model, beside which those of a model stand."""

from __future__ import annotations

from collections.abc import Mapping

from headstock.interfaces import Task
from headstock.preprocessing.prepare import PreparedSplit


def baseline_metrics(task: Task, splits: Mapping[str, PreparedSplit]) -> dict[str, float] | None:
    """Return the metrics of :meth:`headstock.Task.baseline` on the test split, or ``None`` where the task has none."""
    test = splits["test"].split
    predictions = task.baseline(splits["train"].split.references, test.inputs(task))
    return None if predictions is None else task.score(predictions, test.references)
