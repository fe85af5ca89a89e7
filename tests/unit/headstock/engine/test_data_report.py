"""What a run says of its data before training: labels with counts, spellings united, everything in the result too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from headstock.console import Console
from headstock.engine.run import resolve_recipe
from headstock.engine.setup import PreparedData, prepare_data
from headstock_registry import load_catalogue

CATALOGUE = load_catalogue()
Splits = Mapping[str, Sequence[Mapping[str, Any]]]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTOCK_CACHE", str(tmp_path / "cache"))


def prepared(sample: Splits, task: str = "text-classification", *overrides: str) -> PreparedData:
    resolved = resolve_recipe(CATALOGUE, task, ["data.limit=null", *overrides])
    return prepare_data(resolved, Console(quiet=True), sample)


def rows(*labels: Any) -> list[dict[str, Any]]:
    return [{"text": f"text number {number} of {label}", "label": label} for number, label in enumerate(labels)]


def test_labels_are_listed_by_split_in_one_spelling() -> None:
    sample: Splits = {
        "train": rows(1, 1.0, "1", 0, "0", True, True, "true"),
        "validation": rows(1.0, True, "0.0"),
        "test": rows("1.0", "TRUE"),
    }
    data = prepared(sample)
    assert data.splits["test"].split.references == ["1", "True"]
    assert data.lines() == [
        "labels read as another spelling of the same value ('1.0' as '1', 'true' as 'True'): 2",
        "train labels: 0 2, 1 3, True 3",
        "validation labels: 0 1, 1 1, True 1",
        "test labels: 1 1, True 1",
    ]


def test_many_labels_are_cut_off_and_one_alone_is_a_warning() -> None:
    many = rows(*(f"label {number:02}" for number in range(25)))
    data = prepared({"train": many, "validation": many, "test": rows("label 00", "label 00")})
    assert data.lines()[0].endswith("label 19 1 and 5 more")
    assert data.lines()[2:] == ["test labels: label 00 2", "warning: test has one label only; its metrics say little"]


def test_several_labels_of_a_row_are_united_and_counted_each() -> None:
    many = [{"text": f"t{number}", "label": label} for number, label in enumerate(("1,2", "1.0,1", "[]", "2.0"))]
    data = prepared({"train": many, "validation": many, "test": many}, "text-classification", "task.multi_label=true")
    assert data.splits["train"].split.references == [["1", "2"], ["1"], [], ["2"]]
    assert "train labels: 1 2, 2 2" in data.lines()


def test_entities_are_counted_by_type() -> None:
    tagged = [
        {"words": ["Ann", "Lee", "ran"], "tags": ["B-PER", " I-PER", "O"]},
        {"words": ["Bonn"], "tags": ["B-LOC"]},
    ]
    data = prepared({"train": tagged, "validation": tagged, "test": tagged[:1]}, "token-classification")
    assert data.lines()[0] == "train entities: LOC 1, PER 1"
    assert "test entities: PER 1" in data.lines()
