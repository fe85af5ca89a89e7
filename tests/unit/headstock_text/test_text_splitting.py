from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstock_text.segmenting import segmented_words
from headstock_text.splitting import MARKED, count_cjk, split_characters, split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I don't pay 3.14, ok?", ["I", "don't", "pay", "3.14", ",", "ok", "?"]),
        ("1,000 at 12:30.", ["1,000", "at", "12:30", "."]),
        ("我爱北京abc", ["我", "爱", "北", "京", "abc"]),
        ("2024年 カナ", ["2024", "年", "カ", "ナ"]),
        ("한국어 만세", ["한국어", "만세"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("cafe\u0301 é", ["cafe\u0301", "é"]),
        ("❤\ufe0f yes", ["❤\ufe0f", "yes"]),
        ("Привет, мир", ["Привет", ",", "мир"]),
        ("snake_case x1", ["snake_case", "x1"]),
        (" \t\n\u3000", []),
        ("", []),
        ("\U00020000\U00020001", ["\U00020000", "\U00020001"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert [span.word for span in split_words(text)] == words


def test_offsets_point_at_the_words_and_only_white_space_is_lost() -> None:
    text = "  Ana’s 2 cats, 我们\tand \u200b «ñandú»! "
    spans = split_words(text)

    assert all(text[span.start : span.end] == span.word for span in spans)
    assert "".join(span.word for span in spans) == "".join(text.split())


def test_characters_keep_their_marks_and_positions() -> None:
    text = "我 ab\u3000e\u0301❤\ufe0f"
    spans = split_characters(text)
    assert [span.word for span in spans] == ["我", "a", "b", "e\u0301", "❤\ufe0f"]
    assert all(text[span.start : span.end] == span.word for span in spans)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("我来到北京清华大学", ["我", "来到", "北京", "清华大学"]),
        (
            "I don't用iPhone5看3.14，中国 人民。",
            ["I", "don't", "用", "iPhone5", "看", "3.14", "，", "中国", "人民", "。"],
        ),
        ("北\n京", ["北", "京"]),
        ("plain words", ["plain", "words"]),
        ("", []),
    ],
)
def test_chinese_words_are_whole(text: str, words: list[str]) -> None:
    assert segmented_words(text) == words


@given(st.text(max_size=20))
def test_whole_words_lose_nothing_but_white_space(text: str) -> None:
    assert "".join(segmented_words(text)) == "".join(span.word for span in split_words(text))


def test_count_cjk() -> None:
    assert count_cjk("我a々 カ한") == 3


def test_combining_marks_are_sought_wherever_unicode_has_them() -> None:
    marks = [code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)).startswith("M")]

    assert all(any(code in part for part in MARKED) for code in marks)


@given(st.text(st.characters(max_codepoint=0x2060), max_size=20))
def test_words_of_latin_text_are_those_beside_any_other(text: str) -> None:
    beside = f"{text}\n日"  # with which the whole pattern is needed
    assert [*split_words(text)] == split_words(beside)[:-1]
