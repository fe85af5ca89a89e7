"""Metrics of classification are scikit-learn's, and class weights those that were asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score, roc_auc_score

from headstock import DataError
from headstock.kits.classification import Classification, ClassificationConfig


class One(Classification):
    def sample(self) -> Any:
        return {}

    def inputs(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        return row


class Several(One):
    @property
    def multi_label(self) -> bool:
        return True


def predicted(*labels: str) -> list[dict[str, Any]]:
    return [{"label": label, "score": 0.9} for label in labels]


def test_one_label_each() -> None:
    task = One(ClassificationConfig())
    task.learn(["a", "b", "c"])
    truth, chosen = ["a", "a", "a", "a", "b", "b"], ["a", "a", "a", "b", "b", "c"]
    figures = task.score([predicted(label) for label in chosen], truth)
    assert figures["balanced_accuracy"] == pytest.approx(0.5 * (3 / 4 + 1 / 2))
    assert figures["micro_f1"] == pytest.approx(f1_score(truth, chosen, average="micro"))


def test_several_labels_each() -> None:
    task = Several(ClassificationConfig())
    task.learn([["a"], ["b"], ["a", "b"]])
    truth, chosen = [["a"], ["a", "b"], [], ["b"]], [["a"], ["b"], ["a"], ["a", "b"]]
    figures = task.score([predicted(*labels) for labels in chosen], truth)
    columns = [([label in row for row in truth], [label in row for row in chosen]) for label in "ab"]
    right = [balanced_accuracy_score(*column) for column in columns]
    assert figures["balanced_accuracy"] == pytest.approx(sum(right) / 2)
    flat = [[value for column in columns for value in column[side]] for side in (0, 1)]
    assert figures["micro_f1"] == pytest.approx(f1_score(*flat))


def scored(**scores: float) -> list[dict[str, Any]]:
    return [{"label": label, "score": score} for label, score in sorted(scores.items(), key=lambda item: -item[1])]


def test_areas_under_curves_are_means_over_labels() -> None:
    task = One(ClassificationConfig())
    task.learn(["a", "b", "c"])
    truth = ["a", "b", "a", "new"]  # nobody has c; "new" was not learnt
    rows = [(0.5, 0.3, 0.2), (0.4, 0.5, 0.1), (0.3, 0.6, 0.1), (0.1, 0.2, 0.7)]
    figures = task.score([scored(a=a, b=b, c=c) for a, b, c in rows], truth)
    columns = {"a": [row[0] for row in rows], "b": [row[1] for row in rows], "new": [0.0] * 4}
    for name, area in (("roc_auc", roc_auc_score), ("pr_auc", average_precision_score)):
        expected = [area([label == given for given in truth], values) for label, values in columns.items()]
        assert figures[name] == pytest.approx(sum(expected) / 3)


def test_areas_under_curves_with_several_labels_each() -> None:
    task = Several(ClassificationConfig())
    task.learn([["a"], ["b"]])
    truth = [["a", "b"], [], ["b"], ["a"]]
    rows = [(0.9, 0.6), (0.4, 0.7), (0.5, 0.8), (0.3, 0.1)]
    figures = task.score([scored(a=a, b=b) for a, b in rows], truth)
    there = [["a" in labels, "b" in labels] for labels in truth]
    assert figures["roc_auc"] == pytest.approx(roc_auc_score(there, rows))
    assert figures["pr_auc"] == pytest.approx(average_precision_score(there, rows))


@pytest.mark.parametrize(
    ("labels", "truth"),
    [(["a", "b"], ["a", "a"]), ([f"label {number}" for number in range(12)], ["label 1", "label 2"])],
)
def test_no_area_where_all_have_one_label_or_predictions_leave_some_out(labels: list[str], truth: list[str]) -> None:
    task = One(ClassificationConfig())
    task.learn(labels)
    figures = task.score([predicted(*labels[:10])] * 2, truth)
    assert math.isnan(figures["roc_auc"])
    assert math.isnan(figures["pr_auc"])


def test_the_baseline_is_the_most_frequent_label() -> None:
    task = One(ClassificationConfig())
    references = ["b", "a", "b"]
    task.learn(references)
    assert (
        task.baseline(references, iter([{}, {}]))
        == [[{"label": "b", "score": 0.666667}, {"label": "a", "score": 0.333333}]] * 2
    )
    several = Several(ClassificationConfig())
    rows = [["a"], ["a", "b"], ["a"]]
    several.learn(rows)
    predictions = several.baseline(rows, iter([{}]))
    assert several.score(predictions, [["a"]])["accuracy"] == 1.0


@pytest.mark.parametrize("label", ["1", "1.0"])
def test_weights_by_label(label: str) -> None:
    task = One(ClassificationConfig(class_weights={label: 3.0}))
    task.learn(["1", "2", "1"])
    assert (task.labels.names, task.weights) == (("1", "2"), [3.0, 1.0])


def test_a_weight_for_what_is_no_label() -> None:
    task = One(ClassificationConfig(class_weights={"spam": 3.0}))
    with pytest.raises(DataError, match=r"task\.class_weights has a weight for 'spam', which is no label .*ham"):
        task.learn(["ham", "eggs"])


@pytest.mark.parametrize("weights", [{"a": 0}, {"a": -1}, {"a": float("nan")}, "balance", 3])
def test_weights_that_are_none(weights: Any) -> None:
    with pytest.raises(ValidationError):
        ClassificationConfig(class_weights=weights)
