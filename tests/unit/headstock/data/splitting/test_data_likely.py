"""Warnings of groups and orders that a random cut does not heed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from headstock.data import DataConfig, load_splits
from headstock.interfaces import Column
from headstock.interfaces.notes import noting

Columns = tuple[Column, ...]
DAYS = [f"2026-{1 + n // 28:02}-{1 + n % 28:02}" for n in range(100)]


def warnings(texts: Columns, name: str, values: Sequence[Any], *, as_json: bool = False, **options: Any) -> list[str]:
    rows = [{"text": f"text {n}", "label": "ab"[n % 2], name: value} for n, value in enumerate(values)]
    path = Path("all.jsonl" if as_json else "all.csv")
    lines = map(json.dumps, rows) if as_json else (",".join(map(str, row.values())) for row in rows)
    path.write_text("\n".join([*([] if as_json else [f"text,label,{name}"]), *lines]))
    with noting() as found:
        load_splits(DataConfig.model_validate({"path": str(path), **options}), texts, dict)
    return [f"{what}: {count}" for what, count in found.items() if what.startswith("warning")]


@pytest.mark.parametrize("name", ["speaker", "patient_id", "PatientID", "userId", "Customer Name", "患者", "患者编号"])
@pytest.mark.parametrize("as_json", [False, True])
def test_rows_of_a_person_in_several_splits_are_a_warning(name: str, as_json: bool, texts: Columns) -> None:
    (line,) = warnings(texts, name, [f"p{n % 10}" for n in range(100)], as_json=as_json)
    option = f"'data.group={name}'" if " " in name or not name.isascii() else f"data.group={name}"
    assert line.startswith(f"warning: rows of one '{name}' are in several splits; {option} keeps them together")
    assert 5 <= int(line.rpartition(" ")[2]) <= 10


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("speaker", [f"p{n}" for n in range(100)]),
        ("speaker", [f"p{n % 2}" for n in range(100)]),
        ("speaker", [f"p{n % 10}" if n % 3 else "" for n in range(100)]),
        ("speaker", [f"p{n % 5}" for n in range(15)]),
        ("speaker", [f"p{min(n, 40)}" for n in range(100)]),
        ("unit", ["mg", "kg", "ml", "cm"] * 25),
        ("group", ["control", "low", "high", "none"] * 25),
        ("topic", [f"t{n % 10}" for n in range(100)]),
        ("date", DAYS[50:] + DAYS[:50]),
        ("date", ["2026-01-01"] * 100),
        ("date", [*DAYS[:99], "soon"]),
        ("score", list(range(100))),
        ("time", list(range(10))),
    ],
)
def test_what_is_no_sign(name: str, values: Sequence[Any], texts: Columns) -> None:
    assert warnings(texts, name, values) == []


@pytest.mark.parametrize(("name", "values"), [("unit", range(10)), ("engine_no", "abcdefghij"), ("session", range(10))])
def test_identifiers_of_things_are_one(name: str, values: Sequence[Any], texts: Columns) -> None:
    assert len(warnings(texts, name, [*values] * 10)) == 1


@pytest.mark.parametrize(
    ("name", "values"),
    [("date", DAYS), ("created_at", DAYS[::-1]), ("eventTime", range(100)), ("时间", DAYS)],
    ids=["up", "down", "numbers", "Chinese"],
)
def test_data_in_order_of_time_is_a_warning(name: str, values: Sequence[Any], texts: Columns) -> None:
    (line,) = warnings(texts, name, values)
    assert line.startswith(f"warning: the data is in order of '{name}', and splits are cut at random; data.cut=ordered")
    assert line.endswith("tests on the latest; rows: 100")


def test_who_decides_is_not_warned(texts: Columns) -> None:
    speakers = [f"p{n % 10}" for n in range(100)]
    assert warnings(texts, "speaker", speakers, cut="random") == []
    assert warnings(texts, "speaker", speakers, group="speaker") == []
    assert warnings(texts, "date", DAYS, cut="ordered") == []


def test_given_splits_are_not_warned_of(texts: Columns) -> None:
    rows = [f"text {n},{'ab'[n % 2]},p{n % 10}" for n in range(100)]
    for split in ("train", "validation", "test"):
        Path(f"{split}.csv").write_text("\n".join(["text,label,speaker", *rows]))
    with noting() as found:
        load_splits(DataConfig(path="."), texts, dict)
    assert not found


def test_a_target_is_no_group() -> None:
    columns = (Column(name="text", role="input", summary="x"), Column(name="author", role="target", summary="y"))
    assert warnings(columns, "author", [f"p{n % 10}" for n in range(100)]) == []


def test_an_input_of_the_task_may_be_one_under_another_name() -> None:
    columns = (
        Column(name="user", role="input", summary="x"),
        Column(name="label", role="target", summary="y"),
    )
    options = {"columns": {"user": "userId"}}
    (line,) = warnings(columns, "userId", [f"p{n % 10}" for n in range(100)], **options)
    assert "data.group=user keeps" in line
    assert warnings(columns, "userId", [f"p{n % 10}" for n in range(100)], **options, group="user") == []
