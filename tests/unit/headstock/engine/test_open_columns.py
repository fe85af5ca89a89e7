"""A task whose columns the data decides: settled by training data, kept with the model, read alike ever after."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import headstock
from headstock import BadExampleError, DataError, TunedModel
from headstock.data import DataConfig, columns_of, load_splits
from headstock.interfaces import Task
from headstock.interfaces.notes import noting
from headstock_registry import load_catalogue

PLUGIN = '''
from headstock import API_VERSION, BadExampleError, Classification, Column, Entry, hookimpl


class Cells(Classification):
    """Tells classes of a table's rows by a sentence of all other cells."""

    modality = "text"
    default_backbone = "textcnn"
    columns = (Column(name="label", role="target", stratify=True, summary="the class"),)

    def columns_for(self, available):
        others = [name for name in available if name != "label"]
        return (
            *(Column(name=name, role="input", summary="a cell", required=name == "animal") for name in others),
            *self.columns,
        )

    def inputs(self, row):
        cells = [f"{column.name} {row[column.name]}" for column in self.data_columns
                 if column.role == "input" and row.get(column.name) not in (None, "")]
        if not cells:
            raise BadExampleError("all cells are empty")
        return {"text": " ".join(cells)}

    def sample(self):
        animals = [("cat", 4), ("hen", 2), ("dog", 4), ("emu", 2)]
        rows = [
            {"animal": f"{animal}{number}", "legs": str(legs), "label": "bird" if legs == 2 else "beast"}
            for number in range(30) for animal, legs in animals
        ]
        return {"train": rows[:80], "validation": rows[80:100], "test": [*rows[100:]]}


@hookimpl
def headstock_entries():
    return [Entry(kind="task", name="cells", target="cells:Cells", summary="rows of a table", modality="text",
                  api_version=API_VERSION)]
'''
HEADER = "name,Legs,weight,class"
CAT = {"animal": "cat", "legs": 4}
NUMBERED = {"header": False, "columns": {"animal": "column_1", "legs": "column_2", "label": "column_3"}}


def rows(count: int = 60) -> list[str]:
    return [
        f"{'hen' if n % 2 else 'cat'}{n},{2 if n % 2 else 4},{n}.5,{'bird' if n % 2 else 'beast'}" for n in range(count)
    ]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("site")
    info = folder / "cells-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: cells\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[headstock]\ncells = cells\n")
    (folder / "cells.py").write_text(PLUGIN)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder


@pytest.fixture(scope="module")
def finished(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("table")
    (folder / "animals.csv").write_text("\n".join([HEADER, *rows()]))
    overrides = {
        "data.path": str(folder / "animals.csv"),
        "data.columns": {"label": "class", "animal": "name"},
        "trainer.max_steps": 2,
        "device": "cpu",
    }
    return headstock.run("cells", overrides, out=folder / "run").path


@pytest.fixture
def model(finished: Path) -> TunedModel:
    return headstock.load(finished)


def names(task: Task) -> list[str]:
    return [column.name for column in task.data_columns]


def test_columns_are_kept_with_the_model(finished: Path, model: TunedModel) -> None:
    assert names(model.task) == ["animal", "Legs", "weight", "label"]
    assert [column["name"] for column in json.loads((finished / "model/model.json").read_text())["columns"]] == names(
        model.task
    )
    written = json.loads((finished / "predictions.jsonl").read_text().splitlines()[0])
    assert set(written["input"]) == {"animal", "Legs", "weight"}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_other_data_is_cut_to_them(kind: str, model: TunedModel, tmp_path: Path) -> None:
    import pandas as pd

    table = pd.DataFrame([row.split(",") for row in rows(8)], columns=HEADER.split(","))[
        ["class", "weight", "Legs", "name"]
    ]
    table["secret"] = "x"
    path = tmp_path / f"new.{kind}"
    if kind == "csv":
        table.to_csv(path, index=False)
    elif kind == "jsonl":
        table.to_json(path, orient="records", lines=True)
    else:
        table.to_parquet(path)
    read = model.table(path)
    assert [list(row) for row in read][:1] == [["animal", "Legs", "weight", "label"]]
    assert read.notes == (f"{path}: columns that training data had not are not read: secret",)
    assert model.evaluate(path).examples == 8


def test_a_missing_column_is_named_and_an_optional_one_may_lack(model: TunedModel, tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    path.write_text("Legs,weight\n2,1\n")
    with pytest.raises(DataError, match=r"new\.csv has no column 'name', which data\.columns\.animal names"):
        model.table(path)
    path.write_text("name,Legs\nhen,2\n")
    assert len(model.predict_table(model.table(path)).values) == 1
    path.write_text("name,Legs,weight\nhen,,\n")
    assert model.table(path)[0] == {"animal": "hen", "Legs": "", "weight": ""}
    with pytest.raises(DataError, match=r"data\.columns\.wings: the task has no column 'wings'"):
        model.table({"path": str(path), "columns": {"wings": "Legs"}})


def test_a_mapping_is_a_row(model: TunedModel) -> None:
    whole, short = model.predict([{"animal": "hen1", "Legs": 2, "weight": 1.5}, {"name": "hen1"}])
    assert whole != short
    assert model.predict([{"name": "hen1", "Legs": 2, "weight": 1.5, "class": "bird", "id": 7}]) == [whole]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"Legs": 2, "weight": 1.5}, r"^input row 1: it has no column 'animal'; it has: Legs, weight"),
        (
            {"legs": 2, "animals": "hen"},
            r"it has none of the columns that the task reads \(animal, Legs, weight\)",
        ),
        ({"animals": "hen", "Legs": 2}, r"no column 'animal'; it has: animals, Legs; is 'animals' meant for it\?"),
        ({"animal": "hen", "wieght": 2}, r"unknown column 'wieght'; did you mean weight\?"),
        ({}, r"it has none of the columns that the task reads .*; it has: nothing"),
    ],
)
def test_a_mapping_that_is_no_row_is_named(row: dict[str, Any], message: str, model: TunedModel) -> None:
    with pytest.raises(BadExampleError, match=message):
        model.predict([row])
    assert model.predict([row, {"animal": "hen"}], on_bad_example="skip")[0] is None


def test_the_command_line_takes_rows_as_objects(finished: Path, site: Path, forked: Any, tmp_path: Path) -> None:
    lines = ['{"name": "hen1", "Legs": 2}', '{"Legs": 2}', "hen"]
    result = forked(
        tmp_path, "predict", str(finished), "--on-bad-example", "skip", pythonpath=[site], input="\n".join(lines)
    )
    predictions = [json.loads(line) for line in result.stdout.splitlines()]
    assert [prediction is None for prediction in predictions] == [False, True, False]
    assert "null: standard input, line 2: it has no column 'animal'; it has: Legs" in result.stderr
    shown = forked(tmp_path, "show", "cells", pythonpath=[site]).stdout
    assert "the training data decides which there are" in shown


def task_of(site: Path) -> Task:
    del site
    from headstock.recipe.components import component_class

    catalogue = load_catalogue()
    cls = component_class(catalogue, catalogue.get("task", "cells"))
    task: Task = cls(cls.Config())
    return task


def test_training_data_decides_whatever_comes_first(site: Path, tmp_path: Path) -> None:
    task = task_of(site)
    for split, header in (("test", "extra,label,legs,animal"), ("train", "animal,legs,label"), ("dev", "label,animal")):
        width = len(header.split(","))
        (tmp_path / f"{split}.csv").write_text("\n".join([header, *[",".join("abcd"[:width])] * 4]))
    columns = columns_of(task)
    with noting() as found:
        tables = load_splits(DataConfig(path=str(tmp_path)), columns, dict, task)
    assert names(task) == ["animal", "legs", "label"]
    assert list(tables["test"][0]) == ["animal", "legs", "label"]
    assert list(tables["validation"][0]) == ["animal", "label"]
    assert tables["test"].notes == (f"{tmp_path / 'test.csv'}: columns that training data had not are not read: extra",)
    assert not found


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("a.csv", "animal;legs;label\n" + "cat;4;x\n" * 9, {}),
        (
            "a.csv",
            "cat,4,x\n" * 9,
            NUMBERED,
        ),
        ("a.tsv", "animal\tlegs\tLabel\n" + "cat\t4\tx\n" * 9, {}),
        ("a.json", json.dumps([{"animal": "cat", "legs": 4, "label": "x"}] * 9), {}),
        ("a.json", json.dumps({"animal": ["cat"] * 9, "legs": [4] * 9, "label": ["x"] * 9}), {}),
        (
            "a.json",
            json.dumps({"rows": [{**CAT, "kind": "x"}] * 9}),
            {"columns": {"label": "kind"}},
        ),
    ],
    ids=["semicolons", "no header", "tabs", "list", "columns", "wrapper"],
)
def test_any_form_of_table_decides(name: str, content: str, options: Any, site: Path, tmp_path: Path) -> None:
    task = task_of(site)
    (tmp_path / name).write_text(content)
    tables = load_splits(DataConfig(path=str(tmp_path / name), **options), columns_of(task), dict, task)
    assert names(task) == ["animal", "legs", "label"]
    assert {str(value) for value in tables["train"].values("legs")} == {"4"}


def test_rows_in_memory_are_cut_too(site: Path) -> None:
    task = task_of(site)
    train = [{"animal": "a", "label": "x"}, {"animal": "b", "legs": 2, "label": "y"}] * 10
    tables = load_splits(
        DataConfig(), columns_of(task), lambda: {"train": train, "test": [{**train[0], "id": 1}] * 3}, task
    )
    assert names(task) == ["animal", "legs", "label"]
    assert tables["test"][0] == {"animal": "a", "label": "x"}


def test_the_group_is_no_column(site: Path, tmp_path: Path) -> None:
    task = task_of(site)
    path = tmp_path / "all.csv"
    path.write_text("\n".join(["animal,herd,label", *(f"a{n},h{n % 5},{'xy'[n % 2]}" for n in range(40))]))
    load_splits(DataConfig(path=str(path), group="herd"), columns_of(task, but=["herd"]), dict, task)
    assert names(task) == ["animal", "label"]
