"""Splits that are cut from train: duplicates stay together, labels stay in train, the rest as evenly as can be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from headstock.data.splitting.cutting import cut
from headstock.data.splitting.survey import Labels, Survey
from headstock.interfaces import DataError
from headstock.interfaces.notes import noting

SIZES = {"validation": 10, "test": 10}


def survey(contents: Sequence[int], labels: Sequence[Labels] = ()) -> Survey:
    digests = np.asarray([int(each).to_bytes(16) for each in contents], dtype="S16")
    return Survey(np.arange(len(contents)), digests, labels)


def test_without_duplicates_it_is_cut_as_before() -> None:
    labels = ["a"] * 70 + ["b"] * 30
    rest, parts = survey(range(100), labels).cut("x.csv", SIZES, 3)
    expected_rest, expected = cut(labels, SIZES, 3)
    assert rest.tolist() == expected_rest.tolist()
    assert {name: part.tolist() for name, part in parts.items()} == {n: p.tolist() for n, p in expected.items()}


@pytest.mark.parametrize("seed", range(5))
def test_duplicates_stay_together_and_proportions_right(seed: int) -> None:
    generator = np.random.Generator(np.random.PCG64(seed))
    contents = [int(each) for each in generator.integers(0, 300, size=600)]
    labels = ["a" if each % 3 else "b" for each in contents]
    found = survey(contents, labels)
    rest, parts = found.cut("x.csv", {"validation": 60, "test": 60}, seed)
    splits = [rest, *parts.values()]
    assert sorted(row for split in splits for row in split.tolist()) == list(range(600))
    inside = [{contents[row] for row in split.tolist()} for split in splits]
    assert sum(map(len, inside)) == len(set(contents))
    whole = Counter(labels)["b"] / 600
    for part in parts.values():
        assert abs(len(part) - 60) <= 2
        assert abs(Counter(labels[row] for row in part.tolist())["b"] / len(part) - whole) < 0.05
    again = found.cut("x.csv", {"validation": 60, "test": 60}, seed)[1]
    assert all(np.array_equal(parts[name], again[name]) for name in parts)


@pytest.mark.parametrize("seed", range(5))
def test_groups_of_two_and_three_fill_parts_exactly(seed: int) -> None:
    contents = [number % 56 for number in range(120)]
    labels = ["ab"[each % 2] for each in contents]
    rest, parts = survey(contents, labels).cut("x.csv", {"validation": 12, "test": 12}, seed)
    assert [len(split) for split in (rest, *parts.values())] == [96, 12, 12]


def test_a_large_group_stays_in_train() -> None:
    contents = [0] * 50 + list(range(1, 51))
    rest, parts = survey(contents).cut("x.csv", SIZES, 0)
    assert set(range(50)) <= set(rest.tolist())
    assert {name: len(part) for name, part in parts.items()} == SIZES


def test_groups_that_are_all_too_large_still_give_every_split_one() -> None:
    rest, parts = survey([0] * 20 + [1] * 20 + [2] * 20).cut("x.csv", {"validation": 6, "test": 6}, 0)
    assert [len(split) for split in (rest, *parts.values())] == [20, 20, 20]


@pytest.mark.parametrize("doubled", [False, True])
def test_the_only_rows_of_a_label_stay_in_train(doubled: bool) -> None:
    labels = [*["often"] * 4, "c", "d", "e"] * (2 if doubled else 1)
    contents = list(range(7)) * (2 if doubled else 1)
    for seed in range(10):
        rest, parts = survey(contents, labels).cut("x.csv", {"validation": 1, "test": 1}, seed)
        assert {labels[row] for row in rest.tolist()} == {"often", "c", "d", "e"}
        assert all(len(part) for part in parts.values())
        assert not set(parts["validation"].tolist()) & set(parts["test"].tolist())


def test_of_rows_with_several_labels_none_is_lost_to_train() -> None:
    generator = np.random.Generator(np.random.PCG64(0))
    names = [f"l{number}" for number in range(40)]
    labels: list[Labels] = [
        tuple(names[i] for i in sorted({int(40 * each**3) for each in generator.random(3)})) for _ in range(100)
    ]
    occurring = {label for row in labels for label in row}
    for seed in range(10):
        rest, parts = survey(range(100), labels).cut("x.csv", SIZES, seed)
        assert {label for row in rest.tolist() for label in labels[row]} == occurring
        assert all(len(part) for part in parts.values())


def test_too_few_for_two_are_both_and_said() -> None:
    with noting() as found:
        rest, parts = survey(range(5), ["good", "bad", "good", "c", "d"]).cut("x.csv", {"validation": 1, "test": 1}, 0)
    assert parts["validation"].tolist() == parts["test"].tolist()
    assert len(rest) == 4
    assert any("validation and test are the same rows" in line for line in found)


def test_nothing_to_cut_is_an_error() -> None:
    with pytest.raises(DataError, match=r"^x\.csv has too few rows \(4\): each label has one row only"):
        survey(range(4), ["a", "b", "c", "d"]).cut("x.csv", {"validation": 1, "test": 1}, 0)
    with pytest.raises(DataError, match=r"^x\.csv has too few usable rows \(2\): at least 3 are needed"):
        survey(range(2), ["a", "a"]).cut("x.csv", {"validation": 1, "test": 1}, 0)


@pytest.mark.parametrize("labels", [["a", "b"] * 20, []])
def test_where_all_rows_repeat_they_are_cut_all_the_same_and_it_is_said(labels: list[Labels]) -> None:
    with noting() as found:
        rest, parts = survey([0, 1] * 20 if labels else [0] * 40, labels).cut("x.csv", {"validation": 4, "test": 4}, 0)
    assert [len(split) for split in (rest, *parts.values())] == [32, 4, 4]
    assert any("repeat rows of train" in line for line in found)


def test_rows_that_all_have_labels_of_their_own_are_cut_at_random() -> None:
    labels: list[Labels] = [(f"a{row}", "common") for row in range(10)]
    rest, parts = survey(range(10), labels).cut("x.csv", {"validation": 1, "test": 1}, 0)
    assert [len(split) for split in (rest, *parts.values())] == [8, 1, 1]
