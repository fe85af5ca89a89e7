from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from headstock.data.splitting.cutting import cut, pick, share

CLASSES = ["a"] * 50 + ["b"] * 30 + ["c"] * 15 + ["d"] * 4 + ["e"]


def test_parts_are_disjoint_complete_and_in_order() -> None:
    rest, parts = cut(100, {"validation": 10, "test": 20}, seed=0)
    assert (len(rest), len(parts["validation"]), len(parts["test"])) == (70, 10, 20)
    assert sorted([*rest, *parts["validation"], *parts["test"]]) == list(range(100))
    assert all(list(part) == sorted(part) for part in (rest, *parts.values()))


def test_every_class_has_its_share_by_largest_remainder() -> None:
    rest, parts = cut(CLASSES, {"validation": 10, "test": 10}, seed=0)
    counts = {name: Counter(CLASSES[i] for i in part) for name, part in parts.items()}
    assert counts["test"] == {"a": 5, "b": 3, "c": 2}
    assert counts["validation"] == {"a": 5, "b": 3, "c": 2}
    assert Counter(CLASSES[i] for i in rest) == {"a": 40, "b": 24, "c": 11, "d": 4, "e": 1}


def test_the_seed_alone_decides() -> None:
    first, second = (cut(CLASSES, {"test": 30}, seed=1)[1]["test"] for _ in range(2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, cut(CLASSES, {"test": 30}, seed=2)[1]["test"])
    assert cut(20, {"test": 5}, seed=0)[1]["test"].tolist() == [2, 3, 11, 13, 15]


def test_numpys_global_generator_is_not_touched() -> None:
    state = np.random.get_state()[1].tolist()
    cut(CLASSES, {"test": 30}, seed=1)
    assert np.random.get_state()[1].tolist() == state


@pytest.mark.parametrize("seed", range(20))
def test_no_class_of_two_is_lost_to_training(seed: int) -> None:
    generator = np.random.Generator(np.random.PCG64(seed))
    classes = generator.integers(0, 12, size=40).tolist()
    sizes = {"validation": int(generator.integers(1, 9)), "test": int(generator.integers(1, 9))}
    rest, parts = cut(classes, sizes, seed)
    counts = Counter(classes)
    left = Counter(classes[i] for i in rest)
    assert all(left[name] >= 1 for name, number in counts.items() if number >= 2)
    assert {name: len(part) for name, part in parts.items()} == sizes


def test_single_rows_stay_in_training_while_others_can_give() -> None:
    classes = ["often"] * 10 + ["once", "alone"]
    rest, _ = cut(classes, {"validation": 4, "test": 4}, seed=0)
    assert {classes[i] for i in rest} == {"often", "once", "alone"}


def test_values_that_are_all_different_are_cut_like_no_classes() -> None:
    rest, parts = cut([float(i) for i in range(10)], {"validation": 2, "test": 3}, seed=0)
    assert (len(rest), len(parts["validation"]), len(parts["test"])) == (5, 2, 3)


def test_parts_shrink_rather_than_empty_a_class() -> None:
    classes = ["a", "a", "b", "b"]
    rest, parts = cut(classes, {"validation": 1, "test": 2}, seed=0)
    assert {classes[i] for i in rest} == {"a", "b"}
    assert (len(parts["validation"]), len(parts["test"])) == (1, 1)


@pytest.mark.parametrize("sizes", [{"test": 3}, {"test": 0}, {"test": 2, "validation": 1}])
def test_more_than_there_is_is_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="of 3 rows"):
        cut(3, sizes, seed=0)


def test_pick_takes_classes_in_their_share_and_each_once() -> None:
    assert Counter(CLASSES[i] for i in pick(CLASSES, 20, seed=0)) == {"a": 9, "b": 5, "c": 3, "d": 2, "e": 1}
    assert len({CLASSES[i] for i in pick(CLASSES, 5, seed=0)}) == 5
    assert len(pick(CLASSES, 3, seed=0)) == 3
    assert pick(CLASSES, 1000, seed=0).tolist() == list(range(100))
    assert pick(10, 4, seed=3).tolist() == sorted(pick(10, 4, seed=3).tolist())


@pytest.mark.parametrize(
    ("size", "counts", "limits", "expected"),
    [
        (10, [90, 5, 5], [90, 5, 5], [9, 1, 0]),
        (10, [33, 33, 34], [33, 33, 34], [3, 3, 4]),
        (0, [1, 2], [1, 2], [0, 0]),
        (6, [10, 1, 1], [2, 9, 9], [2, 2, 2]),
        (3, [1, 1, 1], [1, 1, 1], [1, 1, 1]),
    ],
)
def test_share_is_exact(size: int, counts: list[int], limits: list[int], expected: list[int]) -> None:
    assert share(size, counts, limits) == expected
