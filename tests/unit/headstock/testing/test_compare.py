"""The kit compares predictions but for rounding, and but for the order of answers that tie."""

from typing import Any

import pytest

from headstock.testing.checks.compare import difference


def answers(*pairs: tuple[str, float]) -> list[dict[str, Any]]:
    return [{"label": label, "score": score} for label, score in pairs]


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        (answers(("a", 0.5), ("b", 0.5)), answers(("b", 0.50001), ("a", 0.5)), None),
        (answers(("a", 0.5), ("b", 0.4)), answers(("b", 0.5), ("a", 0.4)), "[0].label is 'a' and 'b'"),
        (answers(("a", 0.5), ("b", 0.5)), answers(("b", 0.5), ("c", 0.5)), "[0].label is 'a' and 'b'"),
        (answers(("a", 0.5), ("a", 0.5)), answers(("a", 0.5), ("b", 0.5)), "[1].label is 'a' and 'b'"),
        (answers(("a", 0.4), ("b", 0.5)), answers(("b", 0.5), ("a", 0.4)), "[0].label is 'a' and 'b'"),
        (["a", "b"], ["b", "a"], "[0] is 'a' and 'b'"),
    ],
)
def test_only_answers_of_the_same_score_may_change_places(first: Any, second: Any, found: str | None) -> None:
    assert difference(first, second) == found
