from __future__ import annotations

from pathlib import Path

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headstock.data import DataConfig, load_table
from headstock.interfaces import Column, DataError

Columns = tuple[Column, ...]


def write(features: dict[str, object], rows: dict[str, list[object]]) -> Path:
    path = Path("rows.parquet")
    pq.write_table(pa.Table.from_pydict(rows, schema=datasets.Features(features).arrow_schema), path)
    return path


def test_rows_and_missing_values(texts: Columns) -> None:
    frame = pd.DataFrame({"label": [1.5, float("nan")], "other": [1, 2], "text": ["a", None]})
    frame.to_parquet("rows.parquet")
    table = load_table(Path("rows.parquet"), DataConfig(), texts)
    assert list(table) == [{"text": "a", "label": 1.5}, {"text": None, "label": None}]
    assert table.where(1) == "rows.parquet row 2"


def test_class_numbers_become_names(texts: Columns, sentences: Columns) -> None:
    classes = datasets.ClassLabel(names=["neg", "pos"])
    text = datasets.Value("string")
    path = write({"text": text, "label": classes}, {"text": ["a", "b", "c"], "label": [1, -1, 0]})
    assert list(load_table(path, DataConfig(), texts).values("label")) == ["pos", None, "neg"]
    tags = datasets.ClassLabel(names=["O", "B-X"])
    path = write({"words": datasets.List(text), "tags": datasets.List(tags)}, {"words": [["a", "b"]], "tags": [[0, 1]]})
    assert load_table(path, DataConfig(), sentences)[0] == {"words": ["a", "b"], "tags": ["O", "B-X"]}


def test_media_are_files_and_are_not_decoded(pictures: Columns, sounds: Columns) -> None:
    value = {"bytes": b"not really a picture", "path": None}
    text = datasets.Value("string")
    path = write({"picture": datasets.Image(), "label": text}, {"picture": [value], "label": ["x"]})
    assert load_table(path, DataConfig(), pictures)[0] == {"picture": value, "label": "x"}
    path = write({"sound": datasets.Audio(), "text": text}, {"sound": [value], "text": ["x"]})
    assert load_table(path, DataConfig(), sounds)[0] == {"sound": value, "text": "x"}


def test_paths_start_from_the_files_folder(pictures: Columns) -> None:
    Path("media").mkdir()
    values = [{"bytes": None, "path": "a.png"}, {"bytes": b"x", "path": "b.png"}, {"bytes": None, "path": "/c.png"}]
    pd.DataFrame({"picture": values, "label": "x"}).to_parquet("media/rows.parquet")
    table = load_table(Path("media/rows.parquet"), DataConfig(), pictures)
    assert [value["path"] for value in table.values("picture")] == ["media/a.png", "b.png", "/c.png"]


@pytest.mark.skipif(not hasattr(datasets, "Json"), reason="this version of datasets has no Json columns")
def test_json_columns_are_decoded(texts: Columns) -> None:
    path = write(
        {"text": datasets.Json(), "label": datasets.Value("int64")}, {"text": ['{"a": [1, "b"]}'], "label": [1]}
    )
    assert load_table(path, DataConfig(), texts)[0] == {"text": {"a": [1, "b"]}, "label": 1}


def test_categories_are_the_values_they_stand_for(texts: Columns) -> None:
    frame = pd.DataFrame({"text": ["a", "b", "c"], "label": pd.Categorical(["x", "y", "x"])})
    frame.to_parquet("rows.parquet")
    assert list(load_table(Path("rows.parquet"), DataConfig(), texts).values("label")) == ["x", "y", "x"]


def test_one_column_may_serve_twice(texts: Columns) -> None:
    pd.DataFrame({"body": ["a"], "label": ["x"]}).to_parquet("rows.parquet")
    table = load_table(Path("rows.parquet"), DataConfig(columns={"text": "body", "text_pair": "body"}), texts)
    assert table[0] == {"text": "a", "text_pair": "a", "label": "x"}


def test_many_batches_keep_their_order(texts: Columns) -> None:
    pd.DataFrame({"text": [f"t{i}" for i in range(1234)], "label": "x"}).to_parquet("rows.parquet", row_group_size=77)
    table = load_table(Path("rows.parquet"), DataConfig(), texts)
    assert [row["text"] for row in table] == [f"t{i}" for i in range(1234)]


def test_broken_files_are_named(texts: Columns) -> None:
    Path("rows.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(DataError, match=r"rows\.parquet is not a Parquet file") as caught:
        load_table(Path("rows.parquet"), DataConfig(), texts)
    assert "\n" not in str(caught.value)
    pd.DataFrame({"text": [], "label": []}).to_parquet("none.parquet")
    with pytest.raises(DataError, match=r"none\.parquet has no rows"):
        load_table(Path("none.parquet"), DataConfig(), texts)
    pd.DataFrame({"text": ["a"]}).to_parquet("half.parquet")
    with pytest.raises(DataError, match=r"half\.parquet has no column 'label'; it has: text"):
        load_table(Path("half.parquet"), DataConfig(), texts)
