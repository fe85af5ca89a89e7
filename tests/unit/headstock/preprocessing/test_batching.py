"""Inputs are preprocessed in batches where a backbone can, and each is accounted for in order."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch

from headstock.interfaces import Backbone, BadExampleError, Example, note
from headstock.preprocessing import batching
from headstock.preprocessing.batching import preprocessed

Preprocess = Any


class Single:
    """Stands for a backbone that takes one input at a time."""

    preprocess_many = Backbone.preprocess_many
    thread_safe = False

    def __init__(self) -> None:
        self.threads: set[str] = set()

    def preprocess(self, inputs: Mapping[str, Any]) -> Example:
        self.threads.add(threading.current_thread().name)
        if inputs["n"] == "bad":
            raise BadExampleError("bad input")
        if inputs["n"] == "broken":
            raise KeyError("bug")
        note("odd numbers", inputs["n"] % 2)
        return {"n": torch.tensor([inputs["n"]])}

    def cost(self, example: Example) -> int:
        return int(example["n"]) + 1


class Threaded(Single):
    """Stands for one that may be called from several threads."""

    thread_safe = True

    def preprocess(self, inputs: Mapping[str, Any]) -> Example:
        time.sleep(random.random() / 500)
        return super().preprocess(inputs)


class Many(Single):
    """Stands for one that takes several."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def preprocess_many(self, inputs: Sequence[Mapping[str, Any]]) -> list[Example]:
        self.sizes.append(len(inputs))
        self.threads.add(threading.current_thread().name)
        if any(not isinstance(each["n"], int) for each in inputs):
            raise BadExampleError("one of them")
        for index, each in enumerate(inputs):
            note("odd numbers", each["n"] % 2, example=index)
        return [{"n": torch.tensor([each["n"]])} for each in inputs]


def run(backbone: Any, values: Sequence[Any]) -> list[tuple[int, int, dict[str, int]] | str]:
    found: list[tuple[int, int, dict[str, int]] | str] = []
    for batch in preprocessed(backbone, ({"n": value} for value in values), lambda index: f"row {index}"):
        used = iter(zip(batch.examples, batch.costs, strict=True))
        position = 0
        for index in range(batch.size):
            if index in batch.failed:
                found.append(batch.failed[index])
                continue
            example, cost = next(used)
            found.append((int(example["n"]), cost, dict(batch.notes.get(position, {}))))
            position += 1
    return found


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "BATCH", 3)


@pytest.mark.parametrize("values", [[], [1], list(range(8)), [0, "bad", 2, 3, 4, 5, "bad"]])
def test_batches_give_what_single_inputs_give(values: list[Any]) -> None:
    expected = [
        "bad input" if value == "bad" else (value, value + 1, {"odd numbers": 1} if value % 2 else {})
        for value in values
    ]
    assert run(Single(), values) == expected
    many = Many()
    assert run(many, values) == expected
    assert sum(many.sizes) == len(values)
    assert all(size <= 3 for size in many.sizes)
    assert all("preprocess" in name for name in many.threads)
    threaded = Threaded()
    assert run(threaded, values) == expected
    assert all("preprocess" in name for name in threaded.threads)


@pytest.mark.parametrize("backbone", [Single(), Threaded(), Many()])
def test_a_bug_names_its_row(backbone: Any) -> None:
    with pytest.raises(KeyError) as raised:
        run(backbone, [1, 2, 3, 4, "broken"])
    assert any("row 4" in line for line in raised.value.__notes__)


def test_long_texts_make_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "BATCH_CHARACTERS", 10)
    many = Many()
    inputs = ({"n": number, "text": "x" * 6} for number in range(4))
    assert sum(batch.size for batch in preprocessed(many, inputs, str)) == 4  # type: ignore[arg-type]
    assert many.sizes == [2, 2]
