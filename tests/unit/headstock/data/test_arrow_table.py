from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from headstock.data.tables import arrow_table
from headstock.data.tables.arrow_table import ArrowTable, texts, write_rows

ROWS = [
    {"text": None if index % 11 == 0 else f"é{index}", "line": index if index % 7 else None} for index in range(2500)
]


@pytest.fixture
def table(tmp_path: Path) -> ArrowTable:
    with (tmp_path / "rows.arrow").open("wb") as stream:
        write_rows(stream, pa.schema({"text": pa.large_string(), "line": pa.int64()}), ROWS)
    return ArrowTable.mapped(tmp_path / "rows.arrow")


@pytest.mark.parametrize(
    "indices",
    [
        [],
        [2499, 0, 1000, 999],
        list(range(900, 2100)),
        [3, 3, 3],
        np.random.default_rng(0).permutation(2500).tolist(),
    ],
)
@pytest.mark.parametrize("few", [0, arrow_table.FEW])
def test_rows_come_in_the_order_asked_for(
    table: ArrowTable, indices: list[int], few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrow_table, "FEW", few)
    assert table[indices].to_pylist() == [ROWS[index] for index in indices]
    assert table.select_columns(["line"])[indices].column(0).to_pylist() == [ROWS[index]["line"] for index in indices]


def test_another_process_maps_the_same_file(table: ArrowTable) -> None:
    sent = pickle.dumps(table)

    assert len(sent) < 500
    assert pickle.loads(sent)[7].to_pylist() == [ROWS[7]]  # noqa: S301 (our own bytes, as multiprocessing does)


def test_texts_in_memory_can_be_sent_too() -> None:
    table = ArrowTable(pa.Table.from_arrays([texts(["a", "", "日本"])], names=["path"]))

    arrived = pickle.loads(pickle.dumps(table))  # noqa: S301 (our own bytes, as multiprocessing does)
    assert arrived[[2, 0, 1]].column(0).to_pylist() == ["日本", "a", ""]


def test_reading_a_csv_file_imports_neither_datasets_nor_pandas(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label\na,b\nc,d\n", "utf-8")
    script = """
import sys
from pathlib import Path
from headstock.data import DataConfig, load_table
from headstock.interfaces import Column
columns = [Column(name=name, role="input", summary="a text") for name in ("text", "label")]
table = load_table(Path(sys.argv[1]), DataConfig(), columns)
assert [row["text"] for row in table.select([1, 0]).read()] == ["c", "a"]
print(sorted({"datasets", "pandas"} & set(sys.modules)))
"""
    command = [sys.executable, "-c", script, str(tmp_path / "rows.csv")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)

    assert done.stdout.strip() == "[]"
