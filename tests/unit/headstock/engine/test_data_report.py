"""What a run says of its data before training: labels with counts, spellings united, everything in the result too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from headstock.console import Console
from headstock.engine.setup import PreparedData, prepare_data
from headstock.recipe.read import resolve_recipe
from headstock_registry import load_catalogue

CATALOGUE = load_catalogue()
SMALL = {"text-classification": "textcnn", "token-classification": "bilstm"}
Splits = Mapping[str, Sequence[Mapping[str, Any]]]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTOCK_CACHE", str(tmp_path / "cache"))


def prepared(sample: Splits, task: str = "text-classification", *overrides: str) -> PreparedData:
    resolved = resolve_recipe(CATALOGUE, task, [f"backbone={SMALL[task]}", "data.limit=null", *overrides])
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
    assert [line for line in data.lines() if "duplicates" not in line] == [
        "labels read as another spelling of the same value ('1.0' as '1', 'true' as 'True'): 2",
        "train labels: 0 2, 1 3, True 3",
        "validation labels: 0 1, 1 1, True 1",
        "test labels: 1 1, True 1",
    ]


def test_many_labels_are_cut_off_and_one_alone_is_a_warning() -> None:
    many = rows(*(f"label {number:02}" for number in range(25)))
    data = prepared({"train": many, "validation": many, "test": rows("label 00", "label 00")})
    lines = [line for line in data.lines() if "labels" in line or "one label" in line]
    assert lines[0].endswith("label 19 1 and 5 more")
    assert lines[2:] == ["test labels: label 00 2", "warning: test has one label only; its metrics say little"]


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
    assert "train entities: LOC 1, PER 1" in data.lines()
    assert "test entities: PER 1" in data.lines()


def texts(count: int, labels: str = "ab", word: str = "text") -> list[dict[str, Any]]:
    return [{"text": f"{word} number {number}", "label": labels[number % len(labels)]} for number in range(count)]


def test_duplicates_never_straddle_a_cut() -> None:
    data = prepared({"train": texts(60) * 3})
    inside = {name: {split.split.table[row]["text"] for row in split.split.rows} for name, split in data.splits.items()}
    assert [len(split) for split in data.splits.values()] == [144, 18, 18]
    assert sum(map(len, inside.values())) == 60
    assert not any("duplicates" in line for line in data.lines())


def test_duplicates_across_given_splits_and_contradictions_are_counted() -> None:
    train, other = texts(10), texts(6, word="other")
    test = [*other, *train[:3], {**train[3], "label": "a"}]
    data = prepared({"train": train, "validation": [*other[:2], *texts(2, word="third")], "test": test})
    assert [line for line in data.remarks if "duplicates" in line] == [
        "warning: 4 of 10 test rows are duplicates: rows of train have the same inputs",
        "warning: 2 of 10 test rows are duplicates: rows of validation have the same inputs",
    ]
    assert (
        "warning: 2 rows have inputs that stand elsewhere with another reference (1 such inputs), "
        "as sample train row 4 and sample test row 10" in data.remarks
    )


def test_both_texts_of_a_pair_make_a_duplicate() -> None:
    train = [{**row, "text_pair": f"pair {number}"} for number, row in enumerate(texts(20))]
    other = [{**row, "text_pair": "another"} for row in train[:5]]
    data = prepared({"train": train, "validation": [*other, train[0]], "test": other})
    assert [line for line in data.remarks if "of train" in line] == [
        "warning: 1 of 6 validation rows are duplicates: rows of train have the same inputs"
    ]


def test_files_are_duplicates_by_content(tmp_path: Path) -> None:
    for number in range(12):
        for copy in range(2):
            folder = tmp_path / "pictures" / "ab"[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (number * 20, 0, 0)).save(folder / f"{copy}-{number}.png")
    resolved = resolve_recipe(CATALOGUE, "image-classification", ["backbone=smallcnn", f"path={tmp_path / 'pictures'}"])
    data = prepare_data(resolved, Console(quiet=True))
    colours = {name: set(split.split.contents) for name, split in data.splits.items()}
    assert sum(map(len, colours.values())) == 12
    assert all(len(split) % 2 == 0 for split in data.splits.values())


def test_labels_with_too_few_rows_stay_in_train_and_a_line_says_so() -> None:
    once = [{"text": f"the only {label}", "label": label} for label in "vwxyz"]
    data = prepared({"train": [*texts(20), *once, {"text": "one more", "label": "u"}]})
    line = "labels with too few rows to be cut, which are in train alone: u 1, v 1, w 1, x 1, y 1 and 1 more"
    assert line in data.remarks


def test_bad_rows_are_in_no_split_and_what_limit_leaves_out_is_said() -> None:
    train = [*texts(40), {"text": "", "label": "a"}, *texts(40, word="more")]
    data = prepared({"train": train}, "text-classification", "data.on_bad_example=skip")
    assert sum(len(split) for split in data.splits.values()) == 80
    assert [len(lines) for lines in data.skipped.values()] == [1, 0, 0]
    limited = prepared({"train": texts(100)}, "text-classification", "data.limit=5")
    assert [len(split) for split in limited.splits.values()] == [5, 5, 5]
    assert "rows left out by data.limit before splits were cut: 85" in limited.remarks
    given = {"train": texts(30), "validation": texts(9, word="v"), "test": texts(3, word="t")}
    assert prepared(given, "text-classification", "data.limit=5").remarks == [
        "train rows left out by data.limit: 25",
        "validation rows left out by data.limit: 4",
    ]


def test_every_row_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from headstock_text.tasks.text_classification import TextClassification

    seen: list[str] = []
    original = TextClassification.reference

    def counting(self: Any, row: Mapping[str, Any]) -> Any:
        seen.append(row["text"])
        return original(self, row)

    monkeypatch.setattr(TextClassification, "reference", counting)
    prepared({"train": texts(30)})
    assert len(seen) == 30


def test_labels_that_an_ordered_cut_leaves_out_of_a_split_are_named() -> None:
    sample: Splits = {"train": rows(*["old"] * 20, *["both", "old"] * 10, *["new", "both"] * 5)}
    lines = [line for line in prepared(sample, "text-classification", "data.cut=ordered").lines() if "ordered" in line]
    assert lines == [
        "warning: in an ordered cut, train has no rows of these labels: new",
        "warning: in an ordered cut, validation has no rows of these labels: old",
        "warning: in an ordered cut, test has no rows of these labels: old",
    ]
    even: Splits = {"train": rows(*["old", "new"] * 25)}
    assert not [line for line in prepared(even, "text-classification", "data.cut=ordered").lines() if "warning" in line]


def test_groups_hold_in_a_run_and_are_said() -> None:
    speakers = [{**row, "speaker": f"s{n % 8}"} for n, row in enumerate(rows(*"ab" * 40))]
    data = prepared({"train": speakers}, "text-classification", "data.group=speaker", "data.limit=40")
    assert "splits cut by whole groups of 'speaker'; groups: 8" in data.lines()
    texts = [{row["text"] for row in split.split.table.select(split.split.rows)} for split in data.splits.values()]
    of = {row["text"]: row["speaker"] for row in speakers}
    assert sum(len({of[text] for text in inside}) for inside in texts) == 8
