from __future__ import annotations

from typing import Any

import pytest
import torch

from headstock.interfaces import BadExampleError, DataError, NoTargetError
from headstock_text.backbones.textcnn import TextCnn
from headstock_text.tasks.text_classification import TextClassification, TextClassificationConfig

ROWS = [
    {"text": "the cat sat on the mat", "label": "animals"},
    {"text": "a dog ran after the cat", "label": "animals"},
    {"text": "我家的猫在睡觉", "label": "animals"},
    {"text": "shares of the bank rose", "label": "money"},
    {"text": "the bank cut its rates", "label": "money"},
    {"text": "股票市场下跌", "label": "money"},
]
MANY = [
    {"text": "the cat sat", "label": "animals"},
    {"text": "the bank bought a cat", "label": "animals;money"},
    {"text": "the bank rose", "label": ["money"]},
    {"text": "nothing at all", "label": []},
]


def make(**options: Any) -> TextClassification:
    return TextClassification(TextClassificationConfig(**options))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "no text in column 'text'"),
        ({"text": None}, "no text in column 'text'"),
        ({"text": 3}, "column 'text' holds int, not text"),
        ({"text": ["a"]}, "column 'text' holds list, not text"),
        ({"text": " \n\t"}, "the text in column 'text' is empty"),
        ({"text": "a", "text_pair": 1.5}, "column 'text_pair' holds float, not text"),
        ({"text": "a", "text_pair": "  "}, "the text in column 'text_pair' is empty"),
    ],
)
def test_bad_rows(row: dict[str, Any], message: str) -> None:
    with pytest.raises(BadExampleError) as caught:
        make().inputs(row)

    assert str(caught.value) == message


def test_inputs() -> None:
    assert make().inputs({"text": "a", "label": "x"}) == {"text": "a"}
    assert make().inputs({"text": "a", "text_pair": None}) == {"text": "a"}
    assert make().inputs({"text": "a", "text_pair": ""}) == {"text": "a"}
    assert make().inputs({"text": "a", "text_pair": "b"}) == {"text": "a", "text_pair": "b"}


@pytest.mark.parametrize(("options", "rows"), [({}, ROWS), ({"multi_label": True, "label_separator": ";"}, MANY)])
def test_learns_a_handful_of_texts(steps: Any, options: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    torch.manual_seed(0)
    task = make(**options)
    references = [task.reference(row) for row in rows]
    task.learn(references)
    config = TextCnn.Config(embedding_dim=16, filters=16, min_count=1)
    backbone = TextCnn.create(config, [task.inputs(row) for row in rows])
    head = task.build_head(backbone)
    losses = steps.train(task, backbone, head, steps.prepare(task, backbone, rows), 60, 1e-2)
    predictions = steps.predict(task, backbone, head, rows)

    assert losses[-1] < 0.2 * losses[0]
    assert task.score(predictions, references)["accuracy"] == 1.0
    assert {"label", "score"} == set(predictions[0][0])
    assert set(task.details(predictions, references).per_class) == {"animals", "money"}


def test_state_comes_back() -> None:
    task, other = make(class_weights="balanced"), make(class_weights="balanced")
    task.learn([task.reference(row) for row in ROWS[:5]])
    other.restore(task.state())

    assert other.state() == task.state() == {"labels": ["animals", "money"], "weights": [5 / 6, 5 / 4]}


def test_a_label_that_training_had_not_is_named() -> None:
    task = make()
    task.learn(["animals", "money"])

    with pytest.raises(DataError, match="'animal' is not in the training data; did you mean animals"):
        task.encode("animal", {})


@pytest.mark.parametrize(
    ("value", "labels"), [("a; b,c", ["a", "b,c"]), ('["b", "a"]', ["a", "b"]), (["x"], ["x"]), ("", []), ([], [])]
)
def test_many_labels_in_one_value(value: Any, labels: list[str]) -> None:
    assert make(multi_label=True, label_separator=";").reference({"label": value}) == labels


def test_labels_that_training_had_not_count_as_wrong() -> None:
    task = make()
    task.learn(["animals", "money", "money"])
    said = [
        [{"label": "animals", "score": 0.9}],
        [{"label": "money", "score": 0.9}],
        [{"label": "money", "score": 0.9}],
    ]
    references = ["animals", "money", "weather"]
    figures = task.score(said, references)
    assert figures["accuracy"] == pytest.approx(2 / 3)
    assert figures["f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)  # as scikit-learn has it over all labels that occur
    details = task.details(said, references)
    assert details.per_class["weather"] == {"precision": 0, "recall": 0, "f1": 0, "support": 1}
    assert details.confusion is not None
    assert details.confusion.labels == ("animals", "money", "weather")
    assert details.confusion.pairs == ((0, 0, 1), (1, 1, 1), (2, 1, 1))


def test_labels_that_training_had_not_count_as_missed_among_several() -> None:
    task = make(multi_label=True)
    task.learn([["animals"], ["money"]])
    said = [[{"label": "animals", "score": 0.9}, {"label": "money", "score": 0.1}]] * 2
    figures = task.score(said, [["animals"], ["animals", "weather"]])
    assert figures["accuracy"] == 0.5
    assert figures["recall"] == 0.5
    with pytest.raises(NoTargetError, match="'weather' is not in the training data"):
        task.encode(["animals", "weather"], {})
