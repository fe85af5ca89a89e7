from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from headstock.data import DataConfig, MemoryRows, PlacedRows, Table, cached_rows, load_table
from headstock.interfaces import BadExampleError, Column

Columns = tuple[Column, ...]


@pytest.fixture
def table(texts: Columns) -> Table:
    Path("rows.csv").write_text("text,label\n" + "".join(f"t{number},l{number % 3}\n" for number in range(10)))
    return load_table(Path("rows.csv"), DataConfig(), texts)


def test_it_is_a_sequence(table: Table) -> None:
    assert len(table) == 10
    assert table[-1] == table[9] == table[np.int64(9)] == {"text": "t9", "label": "l0"}
    assert [row["text"] for row in table[2:8:3]] == ["t2", "t5"]
    assert next(row["text"] for row in reversed(table)) == "t9"
    for index in (10, -11):
        with pytest.raises(IndexError):
            table[index]
        with pytest.raises(IndexError):
            table.where(index)
        with pytest.raises(IndexError):
            table.select([0, index])


def test_selections_of_selections_know_where_rows_are(table: Table) -> None:
    chosen = table.select([8, 2, -1]).select([2, 0])
    assert [row["text"] for row in chosen] == ["t9", "t8"]
    assert [chosen.where(0), chosen.where(-1)] == ["rows.csv row 10", "rows.csv row 9"]
    assert list(chosen.values("label")) == ["l0", "l2"]
    assert len(table.select([])) == 0


def test_it_cannot_be_changed(table: Table) -> None:
    table[0]["text"] = "other"
    assert table[0]["text"] == "t0"
    with pytest.raises(AttributeError):
        table.indices = None  # type: ignore[misc]
    indices = table.select([1]).indices
    assert indices is not None
    with pytest.raises(ValueError, match="read-only"):
        indices[0] = 2


def test_an_unknown_column_is_a_key_error(table: Table) -> None:
    with pytest.raises(KeyError):
        table.values("text_pair")


def test_rows_stay_on_disk(table: Table) -> None:
    assert table.rows.dataset.path.parent.parent.name == "tables"  # type: ignore[attr-defined]
    assert len(pickle.dumps(table)) < 20_000


def test_it_can_be_sent_to_another_process(table: Table, sounds: Columns) -> None:
    Path("a.txt").write_text("a\n\nb\n")
    Path("a.jsonl").write_text('{"sound": "1.wav", "text": "x"}\n')
    tables = [
        table.select([3]),
        cached_rows(Path("a.txt"), "letters", ("text",), lambda: [(1, {"text": "a"}), (3, {"text": ["b"]})]),
        load_table(Path("a.jsonl"), DataConfig(), sounds),
    ]
    for sent in tables:
        arrived = pickle.loads(pickle.dumps(sent))  # noqa: S301 (our own bytes, as multiprocessing does)
        assert list(arrived) == list(sent)
        assert arrived.where(0) == sent.where(0)


def test_rows_in_memory() -> None:
    table = Table(MemoryRows("input", [{"text": "a"}, {"text": "b"}], ("text", "label")))
    assert table.select([1])[0] == {"text": "b"}
    assert list(table.values("label")) == [None, None]
    assert table.where(1) == "input row 2"


def test_rows_of_a_text_file_that_a_task_reads_itself() -> None:
    Path("a.txt").write_text("a\n\nb\n")
    calls = []

    def read() -> Iterator[tuple[int, dict[str, object] | BadExampleError]]:
        calls.append(1)
        yield 1, {"text": "a", "tags": ["x", None]}
        yield 3, BadExampleError("no tags")

    for _ in range(2):
        table = cached_rows(Path("a.txt"), "letters 1", ("text", "tags"), read)
        assert table[0] == {"text": "a", "tags": ["x", None]}
        assert [table.where(0), table.where(1)] == ["a.txt line 1", "a.txt line 3"]
        assert list(table.values("text")) == ["a", None]
        with pytest.raises(BadExampleError, match=r"^no tags$"):
            table[1]
    assert len(calls) == 1
    cached_rows(Path("a.txt"), "letters 2", ("text", "tags"), read)
    assert len(calls) == 2


def test_rows_in_memory_with_their_places() -> None:
    rows = PlacedRows([{"text": "a"}, {"text": "b"}], ["a.xml", "b.xml"], notes=("1 file left out",))
    table = Table(MemoryRows("folder train", rows, ("text",), rows.notes))
    assert table.select([1]).where(0) == "b.xml"
    assert table.select([1]).notes == ("1 file left out",)
    with pytest.raises(ValueError, match="2 rows but 1 places"):
        PlacedRows([{}, {}], ["a"])
