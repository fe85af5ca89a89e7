"""What an input of ``predict`` is: a value of the main column, a row of several columns, or the content of a file."""

from __future__ import annotations

from typing import Any

import pytest

from headstock.data import given_row
from headstock.interfaces import BadExampleError, Column

Columns = tuple[Column, ...]


def test_values_and_mappings(texts: Columns, pictures: Columns) -> None:
    assert given_row("a", texts, {}) == {"text": "a"}
    assert given_row({"text": "a", "label": "b", "id": 1}, texts, {}) == {"text": "a", "label": "b"}
    assert given_row({"body": "a", "id": 1}, texts, {"text": "body"}) == {"text": "a"}
    content = {"path": None, "bytes": b"x"}
    assert given_row(content, pictures, {}) == {"picture": content}
    assert given_row({"picture": content, "label": "b"}, pictures, {}) == {"picture": content, "label": "b"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"review": "a"}, r"none of the columns that the task reads \(text, text_pair\); it has: review$"),
        ({"text_pair": "a", "txt": "b"}, r"no column 'text'; it has: text_pair, txt; is 'txt' meant for it\?$"),
        ({"text": "a", "text_pairs": "b"}, r"unknown column 'text_pairs'; did you mean text_pair\?$"),
    ],
)
def test_a_mapping_that_is_no_row(value: Any, message: str, texts: Columns) -> None:
    with pytest.raises(BadExampleError, match=message):
        given_row(value, texts, {})


def test_one_value_is_not_enough_where_two_are_needed(texts: Columns) -> None:
    pair = tuple(column.model_copy(update={"required": True}) for column in texts)
    with pytest.raises(BadExampleError, match=r"one value, and the task reads the columns text, text_pair; give all"):
        given_row("a", pair, {})
