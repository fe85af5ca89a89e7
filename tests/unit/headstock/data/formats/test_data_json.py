from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas
import pytest

from headstock.data import DataConfig, Table, load_table
from headstock.interfaces import BadExampleError, Column, DataError

Columns = tuple[Column, ...]


def read(content: str | bytes, columns: Columns, name: str = "reviews.jsonl") -> Table:
    path = Path(name)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_table(path, DataConfig(), columns)


@pytest.mark.parametrize("name", ["reviews.jsonl", "reviews.ndjson", "reviews.json", "REVIEWS.JSONL"])
def test_one_object_a_line(name: str, texts: Columns) -> None:
    table = read('{"text": "good", "label": 1, "id": 5}\n\n{"text": "bad", "label": 0}\n', texts, name)
    assert list(table) == [{"text": "good", "label": 1}, {"text": "bad", "label": 0}]
    assert table.where(1) == f"{name} row 2"


def test_a_list_of_objects(texts: Columns) -> None:
    content = json.dumps([{"text": "good", "label": 1}, {"text": "bad", "label": 0}], indent=2)
    assert [row["label"] for row in read("\n" + content, texts, "reviews.json")] == [1, 0]


def test_values_keep_their_own_types(texts: Columns) -> None:
    values = ["2020-01-01", "NA", 1, 2.5, True, None, ["a", 1], {"b": [None]}, "\u2028line\x85", "\U0001f600", 2**70]
    table = read("\n".join(json.dumps({"text": value, "label": "x"}) for value in values), texts)
    assert [row["text"] for row in table] == values
    assert [type(row["text"]) for row in table] == [type(value) for value in values]


def test_what_is_missing_or_no_number_is_none(texts: Columns) -> None:
    table = read('{"label": "a"}\n{"text": "x", "label": NaN}\n', texts)
    assert list(table) == [{"text": None, "label": "a"}, {"text": "x", "label": None}]


def test_a_column_may_turn_up_late(texts: Columns) -> None:
    lines = [{"text": "x", "label": "a"}] * 5 + [{"text": "x", "label": "a", "text_pair": "y"}]
    table = read("\n".join(map(json.dumps, lines)), texts)
    assert [row["text_pair"] for row in table] == [None] * 5 + ["y"]


def test_byte_order_mark_is_no_content(texts: Columns) -> None:
    assert read(b'\xef\xbb\xbf{"text": "a", "label": "b"}\r\n', texts)[0] == {"text": "a", "label": "b"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "a", "label": ', r"reviews\.jsonl line 1 is not JSON: .*one object a line, or one list of objects"),
        ('["a", 1]\n["b", 2]\n', r"reviews\.jsonl line 1: it holds list where a JSON object is expected"),
        ('[["a", 1], ["b", 2]]', r"reviews\.jsonl holds lists without names of columns; .*orient='records'"),
        ("[" * 100_000, r"reviews\.jsonl is not JSON that can be read: nested too deeply"),
        ("[1" + "0" * 5000 + "]", r"reviews\.jsonl is not JSON that can be read: "),
        ("3", r"reviews\.jsonl holds int; one object a line, or one list of objects, is expected"),
        ('[{"text": "a"},\n {"text": }]', r"reviews\.jsonl line 2 is not JSON"),
        ("[]", r"reviews\.jsonl is empty"),
        ("  \n\n", r"reviews\.jsonl is empty"),
        (
            '{"review": "a", "label": 1}',
            r"has no column 'text'; it has: review, label; map one with data\.columns\.text=",
        ),
        ('{"text": "caf\xe9", "label": 1}'.encode("latin-1"), r"reviews\.jsonl is not UTF-8 text"),
    ],
)
def test_a_broken_file_is_one_line_that_says_where(content: str | bytes, message: str, texts: Columns) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(content, texts)
    assert "\n" not in str(caught.value)


ROWS = [{"text": "good", "label": "pos"}, {"text": "bad", "label": "neg"}, {"text": "fine", "label": "pos"}]
COLUMNS = {name: [row[name] for row in ROWS] for name in ("text", "label")}
INDEX = ["a", "b", "c"]


def test_a_line_that_is_no_object_leaves_the_others(texts: Columns) -> None:
    lines = ['{"text": "go', json.dumps(ROWS[0]), "", "3", json.dumps(ROWS[1]), '{"text": "cut o']
    table = read("\n".join(lines), texts)
    assert [table[1], table[3]] == ROWS[:2]
    assert [table.where(index) for index in range(5)] == [
        "reviews.jsonl line 1",
        "reviews.jsonl row 2",
        "reviews.jsonl line 4",
        "reviews.jsonl row 4",
        "reviews.jsonl line 6",
    ]
    for index, message in ((0, "not JSON: .*one object a line"), (2, "it holds int"), (4, "not JSON")):
        with pytest.raises(BadExampleError, match=message):
            table[index]
    assert list(table.values("label")) == [None, "pos", None, "neg", None]


def test_an_item_that_is_no_object_leaves_the_others(texts: Columns) -> None:
    table = read(json.dumps([*ROWS, 3]), texts, "reviews.json")
    assert [table[index] for index in range(3)] == ROWS
    with pytest.raises(BadExampleError, match="it holds int where a JSON object is expected"):
        table[3]
    assert table.where(3) == "reviews.json row 4"


@pytest.mark.parametrize("orient", ["columns", "index", "split", "table", "records"])
@pytest.mark.parametrize("index", [None, INDEX])
@pytest.mark.parametrize("indent", [None, 2])
def test_what_pandas_writes(orient: Any, index: list[str] | None, indent: int | None, texts: Columns) -> None:
    content = pandas.DataFrame(ROWS, index=index).to_json(orient=orient, indent=indent)
    assert list(read(content, texts, "reviews.json")) == ROWS


@pytest.mark.parametrize(
    ("value", "layout"),
    [
        (COLUMNS, "an object of columns"),
        ({**COLUMNS, "version": 2}, "an object of columns"),
        ({"data": ROWS}, "the list 'data'"),
        ({"version": 2, "set": {"about": {"by": "me"}, "rows": ROWS}}, "the list 'set.rows'"),
        ({"data": COLUMNS}, "an object of columns"),
        ({str(number): row for number, row in enumerate(ROWS)}, "an object of rows"),
    ],
)
def test_tables_in_one_value(value: Any, layout: str, texts: Columns) -> None:
    for indent in (None, 1):
        table = read(json.dumps(value, indent=indent), texts, "reviews.json")
        assert list(table) == ROWS
        assert table.notes == (f"reviews.json: 3 rows were read from {layout}",)


def test_columns_that_are_to_be_mapped_are_named(texts: Columns) -> None:
    renamed = [{"review": row["text"], "label": row["label"]} for row in ROWS]
    for value in (
        {"data": renamed},
        {str(number): row for number, row in enumerate(renamed)},
        {"review": COLUMNS["text"], "label": COLUMNS["label"]},
    ):
        with pytest.raises(DataError, match=r"it has: review, label; map one with data\.columns\.text=review"):
            read(json.dumps(value), texts, "reviews.json")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"train": ROWS, "test": ROWS}, r"reviews\.json holds more than one list of rows: train, test; write the one"),
        ({"text": ["a", "b"], "label": ["x"]}, r"reviews\.json holds columns of different length: text \(2\), label"),
        ({"columns": ["text", "label"], "data": [["a"]]}, r"reviews\.json: a row in 'data' is no list of 2 values"),
        ({"data": [["a", "b"]]}, r"has no column 'text'; it has: data"),
    ],
)
def test_values_whose_rows_are_not_clear(value: Any, message: str, texts: Columns) -> None:
    with pytest.raises(DataError, match=message):
        read(json.dumps(value), texts, "reviews.json")


def test_a_lone_object_is_one_row(texts: Columns, sentences: Columns) -> None:
    assert list(read(json.dumps(ROWS[0], indent=1), texts, "reviews.json")) == ROWS[:1]
    words = {"words": ["a", "b"], "tags": ["O", "O"]}
    assert list(read(json.dumps(words), sentences, "ner.jsonl")) == [words]
    assert list(read(json.dumps({"words": [["a", "b"]], "tags": [["O", "O"]]}), sentences, "ner.json")) == [words]


def test_a_line_with_a_key_twice_or_half_a_character_is_a_bad_row(texts: Columns) -> None:
    lines = [json.dumps(ROWS[0]), '{"text": "a", "label": "b", "label": "c"}', r'{"text": "cut \ud83d", "label": "b"}']
    table = read("\n".join(lines), texts)
    assert table[0] == ROWS[0]
    for index, message in ((1, "the key 'label' is there twice"), (2, "half of a surrogate pair")):
        with pytest.raises(BadExampleError, match=message):
            table[index]


def test_a_whole_file_with_a_key_twice_is_an_error(texts: Columns) -> None:
    with pytest.raises(DataError, match=r"reviews\.jsonl line 3: the key 'label' is there twice"):
        read('[\n{"text": "a", "label": "b",\n"label": "c"}\n]', texts)
