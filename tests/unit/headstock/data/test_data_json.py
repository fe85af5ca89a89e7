from __future__ import annotations

import json
from pathlib import Path

import pytest

from headstock.data import DataConfig, Table, load_table
from headstock.interfaces import Column, DataError

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
    values = ["2020-01-01", "NA", 1, 2.5, True, None, ["a", 1], {"b": [None]}, "\u2028line\x85", "\ud800", 2**70]
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
        ('{"text": "a", "label": 1}\n{"text": \n', r"reviews\.jsonl line 2 is not JSON"),
        ('\n\n{"text": "a", "label": 1}\n\n3\n', r"reviews\.jsonl line 5 holds int; one JSON object a line"),
        ('{\n "text": "a",\n "label": 1\n}\n', r"reviews\.jsonl line 1 is not JSON .*one object a line"),
        ('[{"text": "a", "label": 1},\n 3]', r"reviews\.jsonl item 2 is int; a list of JSON objects"),
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
