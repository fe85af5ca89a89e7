"""The example cache: used when nothing changed, never when something did."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from headstock.console import Console
from headstock.data import MemoryRows, Table
from headstock.engine.setup import prepare_data
from headstock.interfaces import Backbone, BadExampleError, Task
from headstock.preprocessing.fingerprint import content_digest
from headstock.preprocessing.prepare import prepare_split
from headstock.preprocessing.reading import read_split
from headstock.preprocessing.store import ExampleStore, Skipped, StoreWriter
from headstock.recipe.read import resolve_recipe
from headstock_registry import load_catalogue

CATALOGUE = load_catalogue()
ROWS = [
    {"text": f"word{number} is {('good', 'bad')[number % 2]}", "label": ("a", "b")[number % 2]} for number in range(12)
]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Texts that were preprocessed, in an empty cache."""
    from headstock_text.backbones.wordmodel import WordModel

    seen: list[str] = []
    original = WordModel.preprocess

    def counting(self: Any, inputs: Mapping[str, Any]) -> Any:
        seen.append(str(inputs["text"]))
        return original(self, inputs)

    monkeypatch.setattr(WordModel, "preprocess", counting)
    monkeypatch.setenv("HEADSTOCK_CACHE", str(tmp_path / "cache"))
    return seen


def make(*overrides: str) -> tuple[Task, Backbone]:
    resolved = resolve_recipe(CATALOGUE, "text-classification", ["backbone=textcnn", *overrides])
    task = resolved.task.cls(resolved.task.config)
    task.learn([row["label"] for row in ROWS])
    return task, resolved.backbone.cls.create(resolved.backbone.config, [{"text": row["text"]} for row in ROWS])


def prepare(task: Task, backbone: Backbone, rows: list[dict[str, str]], policy: Any = "error") -> Any:
    table = Table(MemoryRows("rows.csv", rows, ("text", "label")))
    return prepare_split(read_split("train", table, task, policy), backbone, task, policy, Console(quiet=True))


def test_a_second_time_reads_the_cache(counted: list[str]) -> None:
    task, backbone = make()
    first = prepare(task, backbone, ROWS)
    assert len(counted) == 12
    second = prepare(task, backbone, ROWS)
    assert len(counted) == 12
    for index in range(12):
        for name, value in first.store[index].items():
            assert value.equal(second.store[index][name])


def test_another_option_or_datum_or_order_does_not(counted: list[str]) -> None:
    task, backbone = make()
    prepare(task, backbone, ROWS)
    prepare(*make("max_length=8"), ROWS)
    assert len(counted) == 24
    prepare(task, backbone, [*ROWS[:11], {"text": "something else is bad", "label": "b"}])
    assert len(counted) == 36
    prepare(task, backbone, ROWS[::-1])
    assert len(counted) == 48


def test_labels_and_task_options_that_do_not_touch_the_input_keep_the_cache(counted: list[str]) -> None:
    task, backbone = make()
    prepare(task, backbone, ROWS)
    prepare(task, backbone, [{**row, "label": "a"} for row in ROWS])
    task, backbone = make("label_smoothing=0.1")
    prepare(task, backbone, ROWS)
    assert len(counted) == 12


def test_skipped_rows_keep_examples_and_references_together(
    counted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    task, backbone = make()
    original = type(backbone).preprocess

    def refusing(self: Any, inputs: Mapping[str, Any]) -> Any:
        if "word3" in inputs["text"] or "word8" in inputs["text"]:
            raise BadExampleError("too odd")
        return original(self, inputs)

    monkeypatch.setattr(type(backbone), "preprocess", refusing)
    for _ in range(2):
        prepared = prepare(task, backbone, ROWS, "skip")
        kept = [number for number in range(12) if number not in {3, 8}]
        assert list(prepared.split.rows) == kept
        assert prepared.split.references == [ROWS[number]["label"] for number in kept]
        assert [target["label"].item() for target in prepared.targets] == [number % 2 for number in kept]
        assert prepared.split.skipped == ["rows.csv row 4: too odd", "rows.csv row 9: too odd"]
    with pytest.raises(BadExampleError, match=r"rows.csv row 4: too odd"):
        prepare(task, backbone, ROWS)


def test_a_file_counts_by_content_not_by_name(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"same")
    (tmp_path / "b").write_bytes(b"same")
    (tmp_path / "c").write_bytes(b"else")
    digests = [content_digest(str(tmp_path / name), files=True) for name in "abc"]
    assert digests[0] == digests[1] != digests[2]
    with pytest.raises(BadExampleError, match="No such file"):
        content_digest(str(tmp_path / "gone"), files=True)


def test_values_that_differ_have_digests_that_differ() -> None:
    values: list[Any] = [None, "", "1", 1, 1.5, True, [1, 2], [[1], 2], ["1", 2], {"a": 1}, {"b": 1}, b"1"]
    assert len({content_digest(value, files=False) for value in values}) == len(values)


def test_where_a_mapping_ends_counts() -> None:
    values: list[Any] = [
        [{"a": 1}, {"b": 2}],
        [{"a": 1, "b": 2}, {}],
        [{}, {"a": 1, "b": 2}],
        {"a": {"b": 1}, "c": 2},
        {"a": {"b": 1, "c": 2}},
        {"a": {}, "b": 1, "c": 2},
    ]
    assert len({content_digest(value, files=False) for value in values}) == len(values)
    assert content_digest({"a": 1, "b": 2}, files=False) == content_digest({"b": 2, "a": 1}, files=False)


def test_an_image_counts_with_its_mode_and_palette() -> None:
    def palette_image(*palette: int) -> Image.Image:
        image = Image.new("P", (2, 2), 1)
        image.putpalette(palette)
        return image

    red, blue = palette_image(0, 0, 0, 255, 0, 0), palette_image(0, 0, 0, 0, 0, 255)
    images = [red, blue, Image.new("L", (2, 2), 1)]
    assert len({content_digest(image, files=False) for image in images}) == 3
    assert content_digest(red, files=False) == content_digest(red.copy(), files=False)


def test_two_processes_that_preprocess_the_same_agree(counted: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    task, backbone = make()
    original = type(backbone).preprocess
    nested: list[Any] = []

    def overtaken(self: Any, inputs: Mapping[str, Any]) -> Any:
        if not nested:
            nested.append(None)
            nested[0] = prepare(task, backbone, ROWS)
        return original(self, inputs)

    monkeypatch.setattr(type(backbone), "preprocess", overtaken)
    slow = prepare(task, backbone, ROWS)
    assert len(counted) == 24
    for name, value in slow.store[3].items():
        assert value.equal(nested[0].store[3][name])


def test_a_store_returns_what_was_put_in(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path)
    examples = [
        {"ids": torch.arange(length), "pixels": torch.full((2, length), length, dtype=torch.uint8)}
        for length in (3, 0, 5)
    ]
    writer.append(examples[:2], [1, 2])
    writer.append([], [])
    writer.append(examples[2:], [3])
    for other in ({"ids": torch.arange(2)}, {"ids": torch.arange(2), "pixels": torch.zeros(2, dtype=torch.uint8)}):
        with pytest.raises(TypeError, match="other tensors than before"):
            writer.append([other], [1])
    writer.close([Skipped(row=1, reason="why not")])
    store = ExampleStore(tmp_path)
    assert len(store) == 3
    assert store.costs.tolist() == [1, 2, 3]
    assert store.skipped == (Skipped(row=1, reason="why not"),)
    for number, example in enumerate(examples):
        assert store[number].keys() == example.keys()
        for name, value in example.items():
            assert store[number][name].dtype == value.dtype
            assert store[number][name].equal(value)


def test_two_runs_on_the_same_data_preprocess_once(counted: list[str]) -> None:
    resolved = resolve_recipe(CATALOGUE, "text-classification", ["backbone=textcnn", "limit=20", "seed=1"])
    prepare_data(resolved, Console(quiet=True))
    first = len(counted)
    assert first > 0
    prepare_data(
        resolve_recipe(CATALOGUE, "text-classification", ["backbone=textcnn", "limit=20", "seed=2"]),
        Console(quiet=True),
    )
    assert len(counted) == first


def test_an_unseen_label_is_scored_without_a_loss_but_cannot_be_trained_on() -> None:
    task, backbone = make()
    rows = [ROWS[0], {"text": "word is odd", "label": "c"}, ROWS[1], {"text": "odd too", "label": "c"}, ROWS[2]]
    table = Table(MemoryRows("rows.csv", rows, ("text", "label")))
    split = prepare_split(read_split("test", table, task, "error"), backbone, task, "error", Console(quiet=True))
    assert [target is None for target in split.targets] == [False, True, False, True, False]
    assert split.split.references == ["a", "c", "b", "c", "a"]
    ((what, noted),) = split.notes.items()
    assert (what, noted.examples) == ("labels that training data has not, scored as wrong", 2)
    batches = split.apart([np.asarray([4, 1, 0]), np.asarray([3]), np.asarray([2])])
    assert [batch.tolist() for batch in batches] == [[4, 0], [1], [3], [2]]
    assert set(split.batch(batches[0], backbone, task).targets) == {"label"}
    assert split.batch(batches[1], backbone, task).targets == {}
    with pytest.raises(BadExampleError, match=r"rows\.csv row 2: label 'c' is not in the training data"):
        prepare(task, backbone, rows)
