from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import pytest

from headstock.data import DataConfig, load_evaluation, load_splits
from headstock.data.open_columns import OpenColumns
from headstock.interfaces import Column, DataError
from headstock.interfaces.notes import noting

Columns = tuple[Column, ...]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("hub"))


def rows(split: str, count: int) -> list[dict[str, Any]]:
    return [{"text": f"{split} {number}", "label": "ab"[number % 2]} for number in range(count)]


def repository(**splits: int) -> None:
    Path("owner/set").mkdir(parents=True)
    for split, count in splits.items():
        lines = [json.dumps(row) for row in rows(split, count)]
        Path(f"owner/set/{split}.jsonl").write_text("\n".join(lines))


class Hub:
    """Stands in for the Hub: answers load_dataset with data sets made in memory."""

    def __init__(self, **splits: datasets.Dataset) -> None:
        self.splits = datasets.DatasetDict(splits)
        self.calls: list[dict[str, Any]] = []

    def __call__(self, path: str, **options: Any) -> Any:
        self.calls.append({"path": path, **options})
        split = options.get("split")
        return self.splits if split is None else self.splits[split.split("[")[0]].select(range(5))


def test_splits_go_by_name_and_missing_ones_are_cut(texts: Columns, capfd: pytest.CaptureFixture[str]) -> None:
    repository(train=20, validation=4)
    tables = load_splits(DataConfig(hub="owner/set"), texts, dict)
    assert {split: len(table) for split, table in tables.items()} == {"train": 18, "validation": 4, "test": 2}
    assert tables["validation"].where(3) == "owner/set validation row 4"
    assert tables["validation"][3] == {"text": "validation 3", "label": "b"}
    assert capfd.readouterr().err == ""


def test_the_librarys_settings_come_back(texts: Columns) -> None:
    repository(train=10)
    before = logging.getLogger("datasets").level, datasets.are_progress_bars_disabled()
    load_splits(DataConfig(hub="owner/set"), texts, dict)
    with pytest.raises(DataError):
        load_splits(DataConfig(hub="owner/set", splits={"test": "nothing"}), texts, dict)
    assert (logging.getLogger("datasets").level, datasets.are_progress_bars_disabled()) == before


def test_slices_and_other_names_can_be_taken(texts: Columns) -> None:
    repository(train=20, test=5)
    config = DataConfig(hub="owner/set", splits={"train": "train[:50%]", "validation": "train[50%:]"})
    tables = load_splits(config, texts, dict)
    assert {split: len(table) for split, table in tables.items()} == {"train": 10, "validation": 10, "test": 5}
    assert tables["validation"][0]["text"] == "train 10"
    assert tables["validation"].where(0) == "owner/set train[50%:] row 1"


def hub(monkeypatch: pytest.MonkeyPatch, **splits: list[dict[str, Any]]) -> None:
    made = {split: datasets.Dataset.from_list(content) for split, content in splits.items()}
    monkeypatch.setattr(datasets, "load_dataset", Hub(**made))


def test_groups_and_orders_are_known_there_too(texts: Columns, monkeypatch: pytest.MonkeyPatch) -> None:
    content = [{**row, "speaker": n % 10, "date": f"20{60 - n}-01-01"} for n, row in enumerate(rows("train", 50))]
    hub(monkeypatch, train=content)
    tables = load_splits(DataConfig(hub="set", group="speaker"), texts, dict)
    speakers = [{int(text.split()[1]) % 10 for text in table.values("text")} for table in tables.values()]
    assert sum(map(len, speakers)) == 10
    tables = load_splits(DataConfig(hub="set", cut="ordered", order="date"), texts, dict)
    assert list(tables["test"].values("text")) == [f"train {n}" for n in (4, 3, 2, 1, 0)]
    with noting() as found:
        load_splits(DataConfig(hub="set"), texts, dict)
    assert [what.partition(";")[0] for what in found] == [
        "warning: rows of one 'speaker' are in several splits",
        "warning: the data is in order of 'date', and splits are cut at random",
    ]


def test_the_training_split_decides_open_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch, train=rows("train", 20), test=[{**row, "more": 1} for row in rows("test", 5)])

    def decide(names: Sequence[str]) -> list[Column]:
        return [Column(name=name, role="target" if name == "label" else "input", summary="x") for name in names]

    columns = OpenColumns((Column(name="label", role="target", summary="x"),), decide)
    tables = load_splits(DataConfig(hub="set", splits={"test": "test", "train": "train"}), columns, dict)
    assert [column.name for column in columns] == ["text", "label"]
    assert list(tables["test"][0]) == ["text", "label"]
    assert tables["test"].notes == ("set test: columns that training data had not are not read: more",)


def test_a_split_taken_for_one_purpose_serves_no_other(texts: Columns) -> None:
    repository(train=20, validation=4)
    tables = load_splits(DataConfig(hub="owner/set", splits={"test": "validation"}), texts, dict)
    assert {split: table.where(0).split()[1] for split, table in tables.items()} == {
        "train": "train",
        "validation": "train",
        "test": "validation",
    }


def test_rows_never_end_up_in_two_splits_unasked(texts: Columns) -> None:
    repository(train=20, test=5)
    with pytest.raises(DataError, match=r"takes a part of 'train'; say with data\.splits\.train what train takes"):
        load_splits(DataConfig(hub="owner/set", splits={"validation": "train[80%:]"}), texts, dict)
    with pytest.raises(DataError, match=r"takes a part of 'test'; say with data\.splits\.test what test takes"):
        load_splits(DataConfig(hub="owner/set", splits={"train": "train+test[:50%]"}), texts, dict)


def test_what_the_user_asks_for_reaches_the_library(texts: Columns, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(train=datasets.Dataset.from_list(rows("train", 10)))
    monkeypatch.setattr(datasets, "load_dataset", hub)
    config = DataConfig(
        hub="owner/set", name="en", revision="v2", splits={"train": "train[2:]", "validation": "train[:2]"}
    )
    load_splits(config, texts, dict)
    asked = {"path": "owner/set", "name": "en", "revision": "v2"}
    assert hub.calls == [asked, {**asked, "split": "train[2:]"}, {**asked, "split": "train[:2]"}]


def test_classes_are_names_and_media_are_files(monkeypatch: pytest.MonkeyPatch, pictures: Columns) -> None:
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    value = {"bytes": b"not a picture", "path": "a.png"}
    data = datasets.Dataset.from_dict({"image": [value] * 4, "label": [0, 1, 0, 1]}, features=features)
    monkeypatch.setattr(datasets, "load_dataset", Hub(train=data, test=data))
    tables = load_splits(DataConfig(hub="owner/set", columns={"picture": "image"}), pictures, dict)
    assert tables["test"][1] == {"picture": value, "label": "dog"}


def test_withheld_labels_say_how_to_take_another_split(monkeypatch: pytest.MonkeyPatch, texts: Columns) -> None:
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    known = datasets.Dataset.from_dict({"text": ["x"] * 4, "label": [0, 1, 0, 1]}, features=features)
    hidden = datasets.Dataset.from_dict({"text": ["x"] * 4, "label": [-1] * 4}, features=features)
    monkeypatch.setattr(datasets, "load_dataset", Hub(train=known, validation=known, test=hidden))
    with pytest.raises(DataError, match=r"^glue test has no value in column 'label'; .*data\.splits\.test=validation"):
        load_splits(DataConfig(hub="glue"), texts, dict)
    with pytest.raises(DataError, match=r"data\.splits\.test=validation"):
        load_evaluation(DataConfig(hub="glue"), texts)
    tables = load_splits(DataConfig(hub="glue", splits={"test": "validation"}), texts, dict)
    assert {split: len(table) for split, table in tables.items()} == {"train": 3, "validation": 1, "test": 4}


@pytest.mark.parametrize(
    ("splits", "options", "message"),
    [
        (
            ["default"],
            {},
            r"^glue has the splits default; say which one to train on, e\.g\. data\.splits\.train=default",
        ),
        (["test", "dev"], {}, r"^glue has no training split; say which to take with data\.splits\.train"),
        (["train", "dev", "val"], {}, r"^glue has the splits dev and val; say which with data\.splits\.validation"),
        (["train"], {"columns": {"text": "body"}}, r"^glue train has no column 'body'"),
    ],
)
def test_splits_and_columns_that_are_not_there(
    splits: list[str], options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch, texts: Columns
) -> None:
    data = datasets.Dataset.from_list(rows("x", 4))
    monkeypatch.setattr(datasets, "load_dataset", Hub(**dict.fromkeys(splits, data)))
    with pytest.raises(DataError, match=message):
        load_splits(DataConfig(hub="glue", **options), texts, dict)


def test_evaluation_takes_one_split_whole(texts: Columns) -> None:
    repository(train=8, dev=4)
    config = DataConfig(hub="owner/set")
    assert load_evaluation(config, texts, "validation").where(0) == "owner/set validation row 1"
    with pytest.raises(DataError, match=r"^owner/set has no test split; it has: .*; say which .*data\.splits\.test$"):
        load_evaluation(config, texts)


def test_errors_of_the_library_become_one_line(texts: Columns, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"^cannot load the data set too/many/parts \(data\.hub\): .*") as caught:
        load_splits(DataConfig(hub="too/many/parts"), texts, dict)
    assert "\n" not in str(caught.value)
    repository(train=4)
    with pytest.raises(DataError, match=r"^cannot load split 'nothing' of owner/set \(data\.hub\): .*nothing"):
        load_splits(DataConfig(hub="owner/set", splits={"test": "nothing"}), texts, dict)

    def offline(*_: Any, **__: Any) -> None:
        raise ConnectionError("Couldn't reach 'imdb' on the Hub\n(offline)")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    with pytest.raises(
        DataError, match=r"^cannot load .*imdb \(data\.hub\): Couldn't reach 'imdb' on the Hub \(offline\)$"
    ):
        load_splits(DataConfig(hub="imdb"), texts, dict)
