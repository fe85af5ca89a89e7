from __future__ import annotations

import pytest

from headstock.interfaces import DataError
from headstock_speech.tasks.transcripts import Alphabet, spelt


@pytest.mark.parametrize(
    ("text", "case", "remove", "expected"),
    [
        ("  Hello\t world \n", "keep", False, "Hello world"),
        ("Hello, World!", "lower", False, "hello, world!"),
        ("straße", "upper", False, "STRASSE"),
        ("“Well-known”—he’d say: 5 % of it…", "lower", True, "well known he'd say 5 of it"),
        ("either/or a_b $3", "keep", True, "either or ab 3"),
        ("e\u0301te\u0301", "lower", False, "été"),
        ("你好，世界。", "lower", True, "你好世界"),
        ("?!", "lower", True, ""),
    ],
)
def test_spelt(text: str, case: str, remove: bool, expected: str) -> None:
    assert spelt(text, case, remove) == expected


def test_an_alphabet_is_learnt_in_order_and_numbered_from_one() -> None:
    alphabet = Alphabet.learn(["ba b", "cab"])
    assert alphabet.characters == (" ", "a", "b", "c")
    assert len(alphabet) == 4
    assert alphabet.encode("a cb") == [2, 1, 4, 3]


def test_an_alphabet_of_nothing() -> None:
    with pytest.raises(DataError, match="no transcripts"):
        Alphabet.learn([])


def test_an_unknown_character_is_named_with_what_to_do() -> None:
    with pytest.raises(DataError, match=r"character '!' \(U\+0021\) of 'ab!' is in no training transcript; .*punct"):
        Alphabet.learn(["ab"]).encode("ab!")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ([], ""),
        ([0, 0, 0], ""),
        ([2, 2, 0, 2, 3, 3], "aab"),
        ([0, 2, 1, 1, 3, 0], "a b"),
        ([1, 2, 1, 0, 1, 3, 1], "a b"),
    ],
)
def test_a_best_path_is_collapsed(path: list[int], text: str) -> None:
    assert Alphabet.learn(["a b"]).decode(path) == text
