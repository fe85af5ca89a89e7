from __future__ import annotations

from pathlib import Path

import pytest

from headstock.interfaces import DataError
from headstock_text.backbones.vocabulary import RESERVED, UNKNOWN, Vocabulary, normalise

ENGLISH = [{"text": "b a b c"}, {"words": ["a", "B", "d"]}, {"text": "a", "text_pair": "e b"}]
CHINESE = [{"text": "我爱北京 abc"}, {"text": "北京"}]


def learn(inputs: list[dict[str, object]], **options: object) -> Vocabulary:
    return Vocabulary.learn(inputs, **{"unit": "auto", "max_size": 100, "min_count": 1, "lower_case": True, **options})


def test_most_frequent_first_and_ties_in_alphabetical_order() -> None:
    vocabulary = learn(ENGLISH)

    assert vocabulary.unit == "word"
    assert vocabulary.pieces == ("b", "a", "c", "d", "e")
    assert vocabulary.id_of("b") == RESERVED
    assert vocabulary.id_of("unheard") == UNKNOWN
    assert vocabulary.characters == ("a", "b", "B", "c", "d", "e")


def test_case_is_kept_if_asked_for() -> None:
    assert learn(ENGLISH, lower_case=False).pieces == ("a", "b", "B", "c", "d", "e")


def test_bounds() -> None:
    assert learn(ENGLISH, max_size=2).pieces == ("b", "a")
    assert learn(ENGLISH, min_count=2).pieces == ("b", "a")


@pytest.mark.parametrize(
    ("inputs", "unit"), [(CHINESE, "char"), (ENGLISH, "word"), ([{"words": ["我", "爱", "x"]}], "char")]
)
def test_auto_takes_characters_for_mostly_chinese_text(inputs: list[dict[str, object]], unit: str) -> None:
    assert learn(inputs).unit == unit


def test_characters_as_pieces() -> None:
    vocabulary = learn(CHINESE)

    assert vocabulary.pieces == (" ", "京", "北", "a", "b", "c", "我", "爱")
    assert vocabulary.characters == ()


def test_the_choice_can_be_made_by_hand() -> None:
    assert learn(CHINESE, unit="word").pieces == ("京", "北", "abc", "我", "爱")
    assert "c" in learn(ENGLISH, unit="char").pieces


@pytest.mark.parametrize("inputs", [[], [{"text": " "}], [{"words": []}]])
def test_no_text_is_an_error(inputs: list[dict[str, object]]) -> None:
    with pytest.raises(DataError, match="no training text"):
        learn(inputs)


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    vocabulary = learn([*ENGLISH, *CHINESE, {"text": "half a pair \ud83d"}])
    vocabulary.save(tmp_path / "vocabulary.json")
    loaded = Vocabulary.load(tmp_path / "vocabulary.json")

    assert (loaded.unit, loaded.pieces, loaded.characters) == (
        vocabulary.unit,
        vocabulary.pieces,
        vocabulary.characters,
    )
    assert loaded.digest() == vocabulary.digest()
    assert learn(ENGLISH).digest() != vocabulary.digest()


def test_normalise() -> None:
    assert normalise("ＡＢＣ", lower_case=True) == "abc"
    assert normalise("ＡＢＣ", lower_case=False) == "ABC"
    assert normalise("Straße", lower_case=True) == "straße"
