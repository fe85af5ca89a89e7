from __future__ import annotations

import pytest

from headstock.kits import read_list


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('["a", "b"]', ["a", "b"]),
        (" ['a', 'b'] ", ["a", "b"]),
        ("['a' 'b'\n \"c'd\"]", ["a", "b", "c'd"]),
        (r"['it\'s']", ["it's"]),
        ("[1, 2.5]", [1, 2.5]),
        ("[]", []),
        ("[a, b]", None),
        ("a", None),
        ("['a', 1]", None),
        ("['a", None),
        ('{"a": 1}', None),
        ("[__import__('os')]", None),
        ("[" * 5000 + "]" * 5000, None),
    ],
)
def test_lists_that_a_text_writes_out(text: str, value: list[object] | None) -> None:
    assert read_list(text) == value


def test_long_texts_take_time_in_proportion() -> None:
    assert read_list("[" + "'a' " * 100_000 + "]") == ["a"] * 100_000
    assert read_list("[" + "'" * 200_001 + "]") is None
