"""Spellings of one value are one label; what may be two values is kept apart and said."""

from __future__ import annotations

import unicodedata

import pytest

from headstock.interfaces.notes import noting
from headstock.kits import LabelSet
from headstock.kits.spelling import spelling_key

CAFE = "café"


@pytest.mark.parametrize(
    "spellings",
    [
        ["1", "1.0", "1.", "+1", "1e0", " 1 ", "1.00"],
        ["0", "-0", "0.0"],
        ["0.5", ".5", "0.50", "5e-1"],
        ["100", "1e2", "100.0"],
        ["true", "True", "TRUE"],
        ["pos", " pos", "pos\t", "\ufeffpos", "pos\u200b", "\xa0pos"],
        [unicodedata.normalize("NFC", CAFE), unicodedata.normalize("NFD", CAFE)],
    ],
)
def test_one_value(spellings: list[str]) -> None:
    assert len({spelling_key(text) for text in spellings}) == 1


@pytest.mark.parametrize(
    "different",
    [
        ["1", "01", "001", "1a", "-1", "10", "1,0", "1.0.0"],
        ["true", "tRue", "yes", "1", "t"],
        ["pos", "Pos", "POS", "p os"],
        ["nan", "inf", "Infinity", "NaN", "١", "1"],
        ["9007199254740993", "9007199254740992"],
    ],
)
def test_several_values(different: list[str]) -> None:
    assert len({spelling_key(text) for text in different}) == len(different)


def test_the_most_frequent_spelling_is_the_label_and_the_others_are_noted() -> None:
    with noting() as found:
        labels = LabelSet.learn(["1.0", "2", "1.0", "1", "3"])
    assert set(labels.names) == {"1.0", "2", "3"}
    assert found == {"labels read as another spelling of the same value ('1' as '1.0')": 1}
    assert [labels.names[labels.index(name)] for name in ("1", "1.0", "2.0", "3.")] == ["1.0", "1.0", "2", "3"]
    assert LabelSet(labels.names).canonical("1") == "1.0"
    assert labels.canonical("4.0") == "4.0"


def test_versions_are_no_numbers() -> None:
    names = [f"1.{minor}" for minor in range(1, 12)]
    with noting() as found:
        labels = LabelSet.learn(names)
    assert set(labels.names) == set(names)
    assert [labels.names[labels.index(name)] for name in names] == names
    assert not found
    # It is not certain which of the two a further spelling means.
    assert labels.canonical("1.100") == "1.100"


def test_case_is_kept_and_pointed_out() -> None:
    with noting() as found:
        labels = LabelSet.learn(["Pos", "pos", "neg", "neg"])
    assert labels.names == ("Pos", "neg", "pos")
    line = "warning: labels that differ only in upper and lower case are kept apart ('Pos' and 'pos')"
    assert found == {line: 1}


def test_a_message_shows_only_the_first_ones() -> None:
    with noting() as found:
        LabelSet.learn([f"{number}{tail}" for number in range(30) for tail in ("", ".0")])
    (line,) = found
    assert line.count(" as '") == 5
    assert line.endswith("and 25 more)")
