from __future__ import annotations

import pytest

from headstock_speech.tasks.normalisation import has_marks, normaliser


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("none", "Mr. Brown's  £5!", "Mr. Brown's  £5!"),
        ("basic", " It's “Five”… [laughs] (off) ", "it s five"),
        ("basic", "你好，世界。", "你好 世界"),
        ("english", "Um, Mr. Brown won't pay twenty-one dollars", "mister brown will not pay $21"),
        ("english", "Zero", "0"),
    ],
)
def test_what_counts_as_the_same(name: str, text: str, expected: str) -> None:
    assert normaliser(name)(text) == expected


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("plain words", False),
        ("déjà vu, e\u0301", False),
        ("你好", False),
        ("안녕", False),
        ("नमस्ते", True),
        ("ทุกคนมี", True),
    ],
)
def test_vowel_marks_are_seen(text: str, marks: bool) -> None:
    assert has_marks([text]) == marks
