"""Splits that are cut in order: by the file, by a column's values, by groups."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headstock.data import DataConfig, Table, load_evaluation, load_splits
from headstock.data.splitting.ordered import cut_in_order
from headstock.interfaces import BadExampleError, Column, DataError
from headstock.interfaces.notes import noting

Columns = tuple[Column, ...]


def write(dates: Sequence[Any], name: str = "all.csv", **more: Sequence[Any]) -> None:
    columns = {
        "text": [f"text {number}" for number in range(len(dates))],
        "label": ["ab"[number % 2] for number in range(len(dates))],
        "date": dates,
        **more,
    }
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    if name.endswith(".jsonl"):
        Path(name).write_text("\n".join(map(json.dumps, rows)))
    else:
        Path(name).write_text(
            "\n".join([",".join(columns), *(",".join(map(str, row.values())) for row in rows)]) + "\n"
        )


def cut(texts: Columns, **options: Any) -> dict[str, list[int]]:
    config = DataConfig.model_validate({"path": "all.csv", "cut": "ordered", **options})
    return numbers(load_splits(config, texts, dict))


def numbers(tables: Mapping[str, Table]) -> dict[str, list[int]]:
    return {split: [int(text.split()[1]) for text in table.values("text")] for split, table in tables.items()}


def test_train_comes_first_and_test_last(texts: Columns) -> None:
    write(range(100))
    with noting() as found:
        tables = cut(texts)
    assert tables == {"train": [*range(80)], "validation": [*range(80, 90)], "test": [*range(90, 100)]}
    assert found["splits cut in the order of the file, the last rows for test; rows"] == 100


def test_a_gap_is_left_out_before_validation_and_test(texts: Columns) -> None:
    write(range(100))
    with noting() as found:
        tables = cut(texts, gap=5)
    assert tables == {"train": [*range(70)], "validation": [*range(75, 85)], "test": [*range(90, 100)]}
    assert found["rows left out between splits by data.gap"] == 10


def test_only_what_is_missing_is_cut(texts: Columns) -> None:
    write(range(100))
    write(range(10), "test.csv")
    tables = cut(texts, path=None, train="all.csv", test="test.csv", gap=2)
    assert tables == {"train": [*range(88)], "validation": [*range(90, 100)], "test": [*range(10)]}


@pytest.mark.parametrize(
    "values",
    [
        [f"2026-{1 + n // 28:02}-{1 + n % 28:02}" for n in range(100)],
        [f"2026-01-01T{n // 60:02}:{n % 60:02}:00+02:00" for n in range(100)],
        [f"{1926 + n}-05" for n in range(100)],
        [n - 50 for n in range(100)],
        [f"{n / 7:.3f}" for n in range(100)],
    ],
    ids=["dates", "times", "months", "whole numbers", "numbers"],
)
@pytest.mark.parametrize("name", ["all.csv", "all.jsonl"])
def test_rows_are_put_in_order_by_a_column(values: list[Any], name: str, texts: Columns) -> None:
    mixed = [values[(number * 37) % 100] for number in range(100)]
    write(mixed, name)
    tables = cut(texts, path=name, order="Date")
    ranks = {split: [values.index(mixed[row]) for row in rows] for split, rows in tables.items()}
    assert ranks == {"train": [*range(80)], "validation": [*range(80, 90)], "test": [*range(90, 100)]}


def test_dates_of_parquet_are_ordered_too(texts: Columns) -> None:
    import pandas as pd

    days = pd.date_range("2026-01-01", periods=50)[::-1]
    pd.DataFrame({"text": [f"text {n}" for n in range(50)], "label": ["a", "b"] * 25, "day": days}).to_parquet(
        "all.parquet"
    )
    tables = cut(texts, path="all.parquet", order="day")
    assert tables["test"] == [4, 3, 2, 1, 0]


def test_rows_with_one_value_are_on_one_side(texts: Columns) -> None:
    write([number // 8 for number in range(100)])
    tables = cut(texts, order="date")
    assert [len(rows) for rows in tables.values()] == [80, 8, 12]
    days = [{row // 8 for row in rows} for rows in tables.values()]
    assert sum(map(len, days)) == 13
    write([number // 50 for number in range(100)])
    with noting() as found:
        assert [len(rows) for rows in cut(texts, order="date").values()] == [80, 10, 10]
    assert found["warning: rows with one 'date' are in several splits, for it has too few values"] == 2


def test_groups_come_in_the_order_of_their_first_rows(texts: Columns) -> None:
    write(range(100), engine=[number % 10 if number > 9 else 9 - number for number in range(100)])
    with noting() as found:
        tables = cut(texts, group="engine")
    engines = {
        split: list(dict.fromkeys(row % 10 if row > 9 else 9 - row for row in rows)) for split, rows in tables.items()
    }
    assert engines == {"train": [9, 8, 7, 6, 5, 4, 3, 2], "validation": [1], "test": [0]}
    assert found["splits cut by whole groups of 'engine'; groups"] == 10
    assert all(rows == sorted(rows) for rows in tables.values())


def test_limit_keeps_the_rows_next_to_each_other(texts: Columns) -> None:
    write(range(100))
    write(range(10), "test.csv")
    assert cut(texts, limit=4, gap=1) == {
        "train": [*range(74, 78)],
        "validation": [*range(79, 83)],
        "test": [*range(90, 94)],
    }
    given = cut(texts, path=None, train="all.csv", validation="all.csv", test="test.csv", limit=3)
    assert given == {"train": [97, 98, 99], "validation": [0, 1, 2], "test": [0, 1, 2]}
    assert numbers({"test": load_evaluation(DataConfig(path="all.csv", cut="ordered", limit=2), texts)})["test"] == [
        0,
        1,
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            ["2026-01-01", "01.02.2026"],
            r"^all\.csv row 2: 'date' \(data\.order\): '01\.02\.2026' is no ISO date",
        ),
        (["1", "x"], r"^all\.csv row 2: .*'x' is no number, as the first is"),
        (["nan", "1"], r"^all\.csv row 1: .*'nan' is neither a number nor an ISO date"),
        (["1", ""], r"^all\.csv row 2: 'date' is empty, which data\.order names"),
        (["2026-01-01T00:00", "2026-01-01T00:00Z"], r"row 2: .* has a time zone, and the first has none"),
        (["1", "2,3"], r"^all\.csv line 3: 4 fields where the header has 3"),
    ],
)
def test_a_value_without_a_place_is_named(values: list[str], message: str, texts: Columns) -> None:
    write([*values, *[values[0]] * 20])
    with pytest.raises(BadExampleError, match=message):
        cut(texts, order="date")


def test_rows_without_a_place_are_left_out_and_counted(texts: Columns) -> None:
    write([*range(50), "", "soon", *range(52, 100)])
    with noting() as found:
        tables = cut(texts, order="date", on_bad_example="skip")
    assert {50, 51} & {row for rows in tables.values() for row in rows} == set()
    assert found["rows left out, for their 'date' has no place in an order"] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cut": None, "order": "date"}, r"data\.order is about an ordered cut; set data\.cut=ordered too"),
        ({"cut": "random", "gap": 1}, r"data\.gap is about an ordered cut; set data\.cut=ordered too"),
        ({"order": "dates"}, r"all\.csv has no column 'dates', which data\.order names; it has: text, label, date"),
        (
            {"gap": 40},
            r"has too few rows \(100\) to cut validation and test from it in order with data\.gap=40",
        ),
    ],
)
def test_what_cannot_be_cut_in_order(options: dict[str, Any], message: str, texts: Columns) -> None:
    write(range(100))
    with pytest.raises(DataError, match=message):
        cut(texts, **options)


def test_a_gap_does_not_go_with_groups() -> None:
    with pytest.raises(ValueError, match=r"with data\.group leave it out"):
        DataConfig(path="x", cut="ordered", group="engine", gap=3)


def test_a_task_may_be_ordered_by_itself(texts: Columns) -> None:
    class Series:
        formats: Mapping[str, tuple[str, ...]] = {}
        cut = "ordered"

        def read(self, request: Any) -> None:
            return None

        def group(self, row: Mapping[str, Any]) -> None:
            return None

    write(range(100))
    tables = numbers(load_splits(DataConfig(path="all.csv"), texts, dict, Series()))
    assert tables["test"] == [*range(90, 100)]
    tables = numbers(load_splits(DataConfig(path="all.csv", cut="random"), texts, dict, Series()))
    assert tables["test"] != [*range(90, 100)]


@pytest.mark.parametrize("seed", range(20))
def test_parts_follow_each_other_and_keep_units_whole(seed: int) -> None:
    generator = np.random.Generator(np.random.PCG64(seed))
    units = np.sort(generator.integers(0, 12, size=60))
    units = np.unique(units, return_inverse=True)[1].reshape(-1)
    first, parts = cut_in_order(units, {"validation": 6, "test": 6})
    slices = [first, *parts.values()]
    assert [part.start for part in slices] == [0, *(part.stop for part in slices[:-1])]
    assert slices[-1].stop == 60
    of = [set(units[part].tolist()) for part in slices]
    assert all(of)
    assert sum(map(len, of)) == len(np.unique(units))
