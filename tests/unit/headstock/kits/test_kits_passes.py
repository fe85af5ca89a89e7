"""How many epochs a number of examples wants."""

from typing import Any

import pytest

from headstock import TrainingFacts
from headstock.kits import passes


def facts(examples: int, **given: Any) -> TrainingFacts:
    return TrainingFacts("task", "backbone", "adapter", examples, True, 1_000_000, given)


@pytest.mark.parametrize(
    ("examples", "given", "batch_size", "epochs"),
    [
        (1, {}, 8, 20),
        (100, {}, 8, 20),
        (160, {}, 8, 15),
        (256, {}, 16, 19),
        (512, {}, 32, 19),
        (3_000, {}, 32, 4),
        (1_000_000, {}, 32, 3),
        (512, {"batch_size": 128}, 128, 20),
        (3_000, {"gradient_accumulation_steps": 4}, 32, 13),
        (100, {"epochs": 2}, 8, 2),
    ],
)
def test_few_examples_are_seen_more_often_and_in_smaller_batches(
    examples: int, given: dict[str, Any], batch_size: int, epochs: int
) -> None:
    found = passes(facts(examples, **given), steps=300, batch_size=32, least=3, most=20)
    assert (found["batch_size"], found["epochs"]) == (batch_size, epochs)


def test_patience_grows_with_the_epochs() -> None:
    assert passes(facts(10_000), steps=300, least=3)["patience"] == 5
    assert passes(facts(100), steps=600, most=60)["patience"] == 16
