"""Checks that training learns."""

from __future__ import annotations

import math
from typing import Any

from headstock.report.metrics_file import read_metrics
from headstock.testing.check import check, expect
from headstock.testing.subject import Subject

CANDIDATES = 200
"""Constant predictions that are tried."""


@check("learning-beats-a-constant", "task")
def learning_beats_a_constant(subject: Subject) -> None:
    """A run on the sample with default settings lowers the loss and beats the best constant answer.

    This is what ``headstock run TASK`` does. The constant answer is the one, among all that the tuned model gave, that
    scores best when it is given for every test example: for a classifier the majority class or better.
    """
    folder = subject.new_folder() / "run"
    result = subject.run_whole(folder)
    losses = [record["loss"] for record in read_metrics(folder / "metrics.jsonl") if record["kind"] == "validation"]
    before, after = result.before.metrics["loss"], result.after.metrics["loss"]
    expect(
        before is not None and after is not None and after < before,
        f"a test loss below the untuned {before}",
        f"{after} (validation: {', '.join(f'{loss:.3g}' for loss in losses[:5])}, …)",
    )
    metric = subject.cls.metrics[0]
    reached = result.after.metrics[metric.name]
    constant = _best_constant(subject, folder, metric.name, metric.better == "higher")
    if constant is None:
        return
    better = reached is not None and (reached > constant if metric.better == "higher" else reached < constant)
    expect(better, f"a {metric.name} better than that of the best constant answer, {constant:.4g}", f"{reached}")


def _best_constant(subject: Subject, folder: Any, name: str, higher: bool) -> float | None:
    """Return what the best of the constant answers scores; ``None`` where a prediction fits only its own example."""
    records = subject.written_predictions(folder)
    references = [record["reference"] for record in records]
    distinct = {repr(record["prediction"]): record["prediction"] for record in records}
    task = subject.tuned_task(folder)
    scores = []
    for prediction in list(distinct.values())[:CANDIDATES]:
        try:
            score = task.score([prediction] * len(references), references)[name]
        except Exception:  # a prediction may fit its own example only: as many tags as words, the example's number
            continue
        if math.isfinite(score):
            scores.append(score)
    return (max(scores) if higher else min(scores)) if scores else None


CHECKS = (learning_beats_a_constant,)
