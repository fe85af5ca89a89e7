"""Tables of plain text line up in a terminal."""

from __future__ import annotations

from headstock.text_table import aligned


def test_columns_are_padded_to_the_widest_cell() -> None:
    rows = [("label", "rows"), ("a", "1"), ("longer", "12")]
    assert aligned(rows) == ["label   rows", "a       1", "longer  12"]
    assert aligned(rows, right=True) == ["label   rows", "a          1", "longer    12"]


def test_wide_characters_take_two_columns() -> None:
    assert aligned([("差评", "1"), ("good", "2")]) == ["差评  1", "good  2"]
