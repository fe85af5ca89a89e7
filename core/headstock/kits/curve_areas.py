"""Areas under curves: how well scores rank examples, whatever the threshold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np


def curve_areas(
    scores: Sequence[Mapping[str, float]], truth: Sequence[Sequence[str]], labels: Sequence[str], learnt: int
) -> dict[str, float]:
    """Return ``roc_auc`` and ``pr_auc``, of each label against the rest, as means over labels.

    ``pr_auc`` is the average precision, as scikit-learn has it. Labels that every example has, or none, have no part.
    Both are not a number where there is no other label, or where predictions do not list every label's score.

    Args:
        scores: For each example its scores by label; a label that was not learnt has none, which counts as 0.
        truth: For each example its labels.
        labels: All labels, those that were learnt first.
        learnt: How many labels were learnt.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    nothing = {"roc_auc": math.nan, "pr_auc": math.nan}
    if any(len(each) < learnt for each in scores):
        return nothing
    place = {label: index for index, label in enumerate(labels)}
    values, there = np.zeros((2, len(scores), len(labels)))
    for row, (by_label, given) in enumerate(zip(scores, truth, strict=True)):
        for label, score in by_label.items():
            values[row, place[label]] = score
        there[row, [place[label] for label in given]] = 1
    mixed = [index for index, share in enumerate(there.mean(axis=0)) if 0 < share < 1]
    if not mixed:
        return nothing
    return {
        "roc_auc": fmean(float(roc_auc_score(there[:, index], values[:, index])) for index in mixed),
        "pr_auc": fmean(float(average_precision_score(there[:, index], values[:, index])) for index in mixed),
    }
