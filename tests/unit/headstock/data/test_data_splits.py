from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from headstock.data import DataConfig, Table, load_evaluation, load_splits
from headstock.interfaces import Column, DataError
from headstock.interfaces.notes import noting

Columns = tuple[Column, ...]
LABELS = ["a"] * 60 + ["b"] * 30 + ["c"] * 10


def write(name: str, count: int = 100) -> None:
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    lines = [f"{path.stem} {number},{LABELS[number % 100]}" for number in range(count)]
    path.write_text("\n".join(["text,label", *lines]) + "\n")


def no_sample() -> Mapping[str, Sequence[Mapping[str, Any]]]:
    raise AssertionError("the sample is not asked for")


def sizes(tables: Mapping[str, Table]) -> dict[str, int]:
    return {split: len(table) for split, table in tables.items()}


def content(tables: Mapping[str, Table]) -> dict[str, list[str]]:
    return {split: [row["text"] for row in table] for split, table in tables.items()}


def test_one_file_is_cut_into_three(texts: Columns) -> None:
    write("all.csv")
    tables = load_splits(DataConfig(path="all.csv"), texts, no_sample)
    assert list(sizes(tables).items()) == [("train", 80), ("validation", 10), ("test", 10)]
    assert Counter(tables["test"].values("label")) == {"a": 6, "b": 3, "c": 1}
    seen = [text for rows in content(tables).values() for text in rows]
    assert sorted(seen) == sorted(f"all {number}" for number in range(100))


def test_rows_keep_their_number_in_the_file(texts: Columns) -> None:
    write("all.csv")
    for table in load_splits(DataConfig(path="all.csv", limit=7), texts, no_sample).values():
        for index, row in enumerate(table):
            assert table.where(index) == f"all.csv row {int(row['text'].split()[1]) + 1}"


def test_the_split_seed_decides_how_it_is_cut(texts: Columns) -> None:
    write("all.csv")
    first, again, other = (
        content(load_splits(DataConfig(path="all.csv", split_seed=seed), texts, no_sample)) for seed in (0, 0, 1)
    )
    assert first == again
    assert first["test"] != other["test"]


def test_fractions(texts: Columns) -> None:
    write("all.csv")
    config = DataConfig(path="all.csv", validation_fraction=0.25, test_fraction=0.05)
    assert sizes(load_splits(config, texts, no_sample)) == {"train": 70, "validation": 25, "test": 5}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["train"], {"train": 80, "validation": 10, "test": 10}),
        (["train", "test"], {"train": 90, "validation": 10, "test": 40}),
        (["train", "validation"], {"train": 90, "validation": 40, "test": 10}),
        (["train", "validation", "test"], {"train": 100, "validation": 40, "test": 40}),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_missing_splits_are_cut_from_train(
    given: list[str], expected: dict[str, int], named: bool, texts: Columns
) -> None:
    for split in given:
        write(f"data/{split}.csv", 100 if split == "train" else 40)
    config = DataConfig.model_validate({s: f"data/{s}.csv" for s in given}) if named else DataConfig(path="data")
    tables = load_splits(config, texts, no_sample)
    assert sizes(tables) == expected
    for split, table in tables.items():
        assert table.where(0).startswith(f"data/{split if split in given else 'train'}.csv row")


def test_splits_are_files_or_folders(pictures: Columns) -> None:
    for path in ("x/cats/1.png", "x/dogs/1.png", "y/cats/2.png", "y/dogs/2.png"):
        Path(path).parent.mkdir(parents=True)
        Path(path).touch()
    Path("z.csv").write_text("file_name,label\n3.png,cats\n")
    tables = load_splits(DataConfig(train="x", validation="y", test="z.csv"), pictures, no_sample)
    assert [table[0]["picture"] for table in tables.values()] == ["x/cats/1.png", "y/cats/2.png", "3.png"]


def test_home_folder_may_be_written_short(texts: Columns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(Path.cwd()))
    write("all.csv")
    assert len(load_splits(DataConfig(path="~/all.csv"), texts, no_sample)["train"]) == 80


def test_validation_without_train_is_refused(texts: Columns) -> None:
    write("test.csv")
    with pytest.raises(DataError, match=r"data\.train is not set"):
        load_splits(DataConfig(test="test.csv"), texts, no_sample)


def test_small_data_gives_every_split_a_row(texts: Columns) -> None:
    write("all.csv", 3)
    tables = load_splits(DataConfig(path="all.csv"), texts, no_sample)
    assert sizes(tables) == {"train": 1, "validation": 1, "test": 1}


@pytest.mark.parametrize(
    ("options", "count", "message"),
    [
        ({}, 2, r"^all\.csv has too few rows \(2\): at least 3 are needed to cut validation and test from it$"),
        (
            {"validation_fraction": 0.49, "test_fraction": 0.5},
            3,
            r"^all\.csv has too few rows \(3\) for data\.val.*=0\.5",
        ),
    ],
)
def test_too_few_rows_say_how_many_are_needed(
    options: dict[str, float], count: int, message: str, texts: Columns
) -> None:
    write("all.csv", count)
    with pytest.raises(DataError, match=message):
        load_splits(DataConfig.model_validate({"path": "all.csv", **options}), texts, no_sample)


def test_targets_that_are_no_scalars_are_cut_at_random(sentences: Columns) -> None:
    columns = (sentences[0], sentences[1].model_copy(update={"stratify": True}))
    rows = ({"words": [f"w{number}"], "tags": ["O"]} for number in range(20))
    Path("all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tables = load_splits(DataConfig(path="all.jsonl"), columns, no_sample)
    assert sizes(tables) == {"train": 16, "validation": 2, "test": 2}
    assert tables["test"].where(0) == f"all.jsonl row {int(tables['test'][0]['words'][0][1:]) + 1}"


def test_limit_takes_so_many_of_each_split(texts: Columns) -> None:
    write("all.csv")
    tables = load_splits(DataConfig(path="all.csv", limit=9), texts, no_sample)
    assert sizes(tables) == {"train": 9, "validation": 9, "test": 9}
    assert set(tables["train"].values("label")) == {"a", "b", "c"}
    assert content(tables) == content(load_splits(DataConfig(path="all.csv", limit=9), texts, no_sample))
    whole = content(load_splits(DataConfig(path="all.csv"), texts, no_sample))
    assert all(set(rows) <= set(whole[split]) for split, rows in content(tables).items())


def test_targets_without_any_value_are_refused(texts: Columns) -> None:
    Path("all.jsonl").write_text('{"text": "a", "label": null}\n' * 5)
    with pytest.raises(DataError, match=r"^all\.jsonl has no value in column 'label'$"):
        load_splits(DataConfig(path="all.jsonl"), texts, no_sample)


def test_without_a_source_it_is_the_sample(texts: Columns) -> None:
    rows = [{"text": f"t{number}", "label": "ab"[number % 2]} for number in range(20)]
    tables = load_splits(DataConfig(), texts, lambda: {"train": rows, "test": rows[:4]})
    assert sizes(tables) == {"train": 18, "validation": 2, "test": 4}
    assert tables["test"].where(3) == "sample test row 4"
    assert tables["test"][3] == rows[3]
    assert set(tables["validation"].values("label")) == {"a", "b"}
    with pytest.raises(DataError, match="sample has no training rows"):
        load_splits(DataConfig(), texts, dict)


def test_evaluation_takes_one_file_whole(texts: Columns) -> None:
    write("new.csv", 20)
    table = load_evaluation(DataConfig(path="new.csv"), texts)
    assert [row["text"] for row in table] == [f"new {number}" for number in range(20)]
    assert len(load_evaluation(DataConfig(path="new.csv", limit=5), texts)) == 5


def test_evaluation_takes_the_asked_split(texts: Columns) -> None:
    for split in ("train", "dev", "test"):
        write(f"data/{split}.csv", 5)
    assert load_evaluation(DataConfig(path="data"), texts).where(4) == "data/test.csv row 5"
    assert load_evaluation(DataConfig(path="data"), texts, "validation").where(4) == "data/dev.csv row 5"
    assert load_evaluation(DataConfig(test="data/dev.csv"), texts).where(4) == "data/dev.csv row 5"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"^no data to evaluate: set data\.test, data\.path or data\.hub$"),
        ({"train": "data/train.csv"}, r"^no data to evaluate: set data\.test"),
        ({"path": "data"}, r"^data has no test data inside; it has: train\.csv$"),
        ({"path": "gone"}, r"^gone does not exist$"),
    ],
)
def test_evaluation_without_data_says_what_to_set(options: dict[str, str], message: str, texts: Columns) -> None:
    write("data/train.csv", 5)
    with pytest.raises(DataError, match=message):
        load_evaluation(DataConfig.model_validate(options), texts)


def test_what_lies_beside_the_splits_is_counted(texts: Columns) -> None:
    for name in ("data/train.csv", "data/test.csv", "data/TEST_SIMPLE.csv", "data/submission.csv"):
        write(name)
    Path("data/images").mkdir()
    for load in (load_evaluation, lambda config, columns: load_splits(config, columns, no_sample)):
        with noting() as notes:
            load(DataConfig(path="data"), texts)
        assert dict(notes) == {
            "tables or folders left out beside the splits, for they are called like none (TEST_SIMPLE.csv, "
            "submission.csv)": 2
        }
