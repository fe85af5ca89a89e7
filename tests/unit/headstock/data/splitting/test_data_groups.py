"""Rows of a group stay in one split."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headstock.data import DataConfig, Table, load_evaluation, load_splits
from headstock.data.splitting.grouped import cut_groups, joined
from headstock.interfaces import Column, DataError
from headstock.interfaces.notes import noting

Columns = tuple[Column, ...]


def rows(speakers: int = 20, each: int = 10) -> list[dict[str, str]]:
    numbers = range(speakers * each)
    return [{"text": f"text {n}", "label": "ab"[n % 2], "speaker": f"s{n % speakers}"} for n in numbers]


def write(name: str, content: list[dict[str, str]]) -> None:
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".csv":
        lines = [",".join(row.values()) for row in content]
        path.write_text("\n".join([",".join(content[0]), *lines]) + "\n")
    else:
        path.write_text("\n".join(map(json.dumps, content)))


def speakers(tables: Mapping[str, Table], number: int = 20) -> dict[str, set[str]]:
    of = {row["text"]: row["speaker"] for row in rows(number)}
    return {split: {of[text] for text in table.values("text")} for split, table in tables.items()}


def no_sample() -> Any:
    raise AssertionError("the sample is not asked for")


@pytest.mark.parametrize("name", ["all.csv", "all.jsonl"])
@pytest.mark.parametrize("limit", [None, 60])
def test_rows_with_the_same_value_stay_together(name: str, limit: int | None, texts: Columns) -> None:
    write(name, rows())
    with noting() as found:
        tables = load_splits(DataConfig(path=name, group="Speaker", limit=limit), texts, no_sample)
    of = speakers(tables)
    assert sum(map(len, of.values())) == len(set().union(*of.values())) == 20
    assert limit is not None or {split: len(table) for split, table in tables.items()} == {
        "train": 160,
        "validation": 20,
        "test": 20,
    }
    assert found["splits cut by whole groups of 'Speaker'; groups"] == 20
    assert "speaker" not in tables["train"][0]


def test_without_it_groups_are_torn(texts: Columns) -> None:
    write("all.csv", rows())
    of = speakers(load_splits(DataConfig(path="all.csv"), texts, no_sample))
    assert sum(map(len, of.values())) > 20


def test_parquet_shards_and_memory_know_it_too(texts: Columns) -> None:
    import pandas as pd

    pd.DataFrame(rows()).to_parquet("all.parquet")
    write("shards/train-00000-of-00002.jsonl", rows()[:120])
    write("shards/train-00001-of-00002.jsonl", rows()[120:])
    for path in ("all.parquet", "shards", None):
        config = DataConfig(path=path, group="speaker")
        of = speakers(load_splits(config, texts, lambda: {"train": rows()}))
        assert sum(map(len, of.values())) == 20


def test_a_task_says_what_is_a_group(texts: Columns) -> None:
    class Speaking:
        formats: Mapping[str, tuple[str, ...]] = {}
        cut = "random"

        def read(self, request: Any) -> None:
            return None

        def group(self, row: Mapping[str, Any]) -> int:
            return int(row["text"].split()[1]) // 10

    write("all.csv", rows())
    with noting() as found:
        tables = load_splits(DataConfig(path="all.csv"), texts, no_sample, Speaking())
    tens = [int(text.split()[1]) // 10 for table in tables.values() for text in table.values("text")]
    assert Counter(tens) == dict.fromkeys(range(20), 10)
    seen = [{int(text.split()[1]) // 10 for text in table.values("text")} for table in tables.values()]
    assert sum(map(len, seen)) == 20
    assert found["splits cut by whole groups of the task; groups"] == 20
    with noting() as found:
        load_splits(DataConfig(path="all.csv", group="speaker"), texts, no_sample, Speaking())
    assert "splits cut by whole groups of 'speaker'; groups" in found


def test_a_row_without_one_is_a_group_by_itself(texts: Columns) -> None:
    content = rows()
    for row in content[:7]:
        row["speaker"] = " "
    write("all.csv", content)
    with noting() as found:
        load_splits(DataConfig(path="all.csv", group="speaker"), texts, no_sample)
    assert found["splits cut by whole groups of 'speaker'; groups"] == 27
    assert found["rows without a group of 'speaker', each a group by itself"] == 7


@pytest.mark.parametrize(
    ("content", "group", "message"),
    [
        (
            rows(2),
            "speaker",
            r"all\.csv has too few groups of 'speaker' \(2\): at least 3 are needed to cut validation",
        ),
        (
            rows(),
            "speakers",
            r"all\.csv has no column 'speakers', which data\.group names; it has: text, label, speaker; did you mean "
            r"speaker\?",
        ),
    ],
)
def test_what_cannot_be_cut_by_groups(content: list[Any], group: str, message: str, texts: Columns) -> None:
    write("all.csv", content)
    with pytest.raises(DataError, match=message):
        load_splits(DataConfig(path="all.csv", group=group), texts, no_sample)


def test_given_splits_that_share_groups_are_said(texts: Columns) -> None:
    content = rows()
    write("data/train.csv", [row for row in content if row["speaker"] != "s1"])
    write("data/test.csv", [row for row in content if row["speaker"] in ("s1", "s2")])
    with noting() as found:
        tables = load_splits(DataConfig(path="data", group="speaker"), texts, no_sample)
    shared = {what: count for what, count in found.items() if what.startswith("warning")}
    of = speakers(tables)
    expected = {"warning: test and train share groups of 'speaker': 1; rows of test in them": 10}
    if "s2" in of["validation"]:
        expected = {what.replace("train", "validation"): count for what, count in expected.items()}
    assert shared == expected
    write("data/test.csv", [{"text": row["text"], "label": row["label"]} for row in content[:9]])
    with noting() as found:
        load_splits(DataConfig(path="data", group="speaker"), texts, no_sample)
    assert found["warning: test has no column 'speaker', so that shared groups are not seen; rows"] == 9


def test_other_data_needs_no_group(texts: Columns) -> None:
    write("new.csv", [{"text": "a", "label": "a"}])
    other = DataConfig.model_validate({**DataConfig(path="x", group="speaker").for_other_data(), "path": "new.csv"})
    assert len(load_evaluation(other, texts)) == 1


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_spread_evenly_over_classes(seed: int) -> None:
    generator = np.random.Generator(np.random.PCG64(seed))
    groups = np.sort(generator.integers(0, 100, size=3000))
    classes = ["rare" if group % 10 == 0 else "often" for group in groups.tolist()]
    rest, parts = cut_groups(groups, classes, {"validation": 300, "test": 300}, seed)
    splits = [rest, *parts.values()]
    assert sorted(row for split in splits for row in split.tolist()) == list(range(3000))
    for split, size in zip(splits, (2400, 300, 300), strict=True):
        assert abs(len(split) - size) <= 30
        rare = sum(classes[row] == "rare" for row in split.tolist()) / len(split)
        assert abs(rare - classes.count("rare") / 3000) < 0.08
    again = cut_groups(groups, classes, {"validation": 300, "test": 300}, seed)[1]
    assert all(np.array_equal(parts[name], again[name]) for name in parts)


@pytest.mark.parametrize("seed", range(10))
def test_training_keeps_every_class_and_every_part_a_group(seed: int) -> None:
    groups = np.repeat(np.arange(6), 50)
    classes = [f"class {group % 4}" for group in groups.tolist()]
    rest, parts = cut_groups(groups, classes, {"validation": 30, "test": 30}, seed)
    assert {classes[row] for row in rest.tolist()} == set(classes)
    assert all(len(set(groups[part].tolist())) == 1 for part in parts.values())


def test_duplicates_join_groups_unless_that_would_chain_them_all() -> None:
    groups = np.repeat(np.arange(100), 10)
    contents = np.arange(1000)
    contents[10] = contents[0]
    found = joined(groups, contents, 2)
    assert len(np.unique(found)) == 99
    assert found[0] == found[10] == found[11]
    contents[::10] = 0
    assert np.array_equal(joined(groups, contents, 2), groups)
