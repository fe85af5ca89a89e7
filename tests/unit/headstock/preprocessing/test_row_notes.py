"""What is cut or dropped is counted with its example, through the cache, and forgotten with a bad row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from headstock import BadExampleError, Example, note
from headstock.console import Console
from headstock.data import MemoryRows, Table
from headstock.engine.data_report import data_notes, note_lines
from headstock.interfaces import Backbone, Task
from headstock.preprocessing.notes import Noted
from headstock.preprocessing.prepare import PreparedSplit, prepare_split
from headstock.preprocessing.reading import read_split
from headstock.recipe.read import resolve_recipe
from headstock_registry import load_catalogue

ROWS = [
    {"text": "one two three", "label": "a"},
    {"text": " ".join("word" for _ in range(12)), "label": "b"},
    {"text": " ".join("other" for _ in range(30)), "label": "a"},
]
CUT = "texts cut to 8 tokens (backbone.max_length)"


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Task, Backbone]:
    monkeypatch.setenv("HEADSTOCK_CACHE", str(tmp_path / "cache"))
    resolved = resolve_recipe(load_catalogue(), "text-classification", ["backbone=textcnn", "backbone.max_length=8"])
    task = resolved.task.cls(resolved.task.config)
    task.learn([row["label"] for row in ROWS])
    return task, resolved.backbone.cls.create(resolved.backbone.config, [{"text": row["text"]} for row in ROWS])


def prepare(parts: tuple[Task, Backbone], rows: list[dict[str, str]] = ROWS, cached: bool = True) -> PreparedSplit:
    task, backbone = parts
    table = Table(MemoryRows("rows.csv", rows, ("text", "label")))
    read = read_split("train", table, task, "skip")
    return prepare_split(read, backbone, task, "skip", Console(quiet=True), cached)


def test_cut_texts_are_counted_the_same_with_a_cache_and_without(parts: tuple[Task, Backbone]) -> None:
    fresh, again, uncached = prepare(parts), prepare(parts), prepare(parts, cached=False)
    assert fresh.notes == again.notes == uncached.notes == {CUT: Noted(count=2, examples=2)}


def test_every_step_may_note_and_bad_rows_do_not_count(
    parts: tuple[Task, Backbone], monkeypatch: pytest.MonkeyPatch
) -> None:
    task, backbone = parts
    reference, encode, preprocess = task.reference, task.encode, backbone.preprocess

    def noted_reference(row: Mapping[str, Any]) -> Any:
        note("labels read", 2)
        return reference(row)

    def noted_encode(value: Any, example: Example) -> dict[str, torch.Tensor]:
        note("labels encoded")
        if value == "b":
            raise BadExampleError("refused at last")
        return encode(value, example)

    def noted_preprocess(inputs: Mapping[str, Any]) -> Example:
        note("texts seen")
        note("never", 0)
        if "empty" in inputs["text"]:
            raise BadExampleError("refused")
        return preprocess(inputs)

    monkeypatch.setattr(task, "reference", noted_reference)
    monkeypatch.setattr(task, "encode", noted_encode)
    monkeypatch.setattr(backbone, "preprocess", noted_preprocess)
    rows = [{"text": "empty", "label": "a"}, {"text": "no label", "label": ""}, *ROWS]
    for cached in (True, True, False):
        split = prepare(parts, rows, cached)
        assert list(split.split.rows) == [2, 4]
        assert split.notes == {
            "labels read": Noted(4, 2),
            "labels encoded": Noted(2, 2),
            "texts seen": Noted(2, 2),
            CUT: Noted(1, 1),
        }


def test_notes_are_shown_and_kept_by_split(parts: tuple[Task, Backbone]) -> None:
    splits = {"train": prepare(parts), "test": prepare(parts, ROWS[:1])}
    assert note_lines("train", splits["train"]) == [f"train: {CUT}: 2 examples (66.7%)"]
    assert note_lines("test", splits["test"]) == []
    kept = data_notes(splits)
    assert set(kept) == {"train"}
    assert kept["train"][CUT].model_dump() == {"count": 2, "examples": 2, "share": 2 / 3}


def test_nothing_is_noted_where_nobody_counts() -> None:
    note("things dropped")
