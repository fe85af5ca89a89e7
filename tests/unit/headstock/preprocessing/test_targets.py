"""Targets are given back as they were, and a label that recurs is encoded once, where that is the same."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from headstock.interfaces import Example, NoTargetError, note
from headstock.interfaces.notes import noting
from headstock.preprocessing.notes import RowNotes
from headstock.preprocessing.store import MemoryStore
from headstock.preprocessing.targets import PackedTargets, TargetEncoder

LABELS: list[Any] = [{"label": torch.tensor(value)} for value in (3, 0, 7)]
TAGS: list[Any] = [{"tags": torch.arange(size)} for size in (2, 0, 5)]
BOXES: list[Any] = [{"boxes": torch.rand(size, 4), "labels": torch.arange(size)} for size in (2, 0, 1)]


@pytest.mark.parametrize(
    "given",
    [
        LABELS,
        TAGS,
        BOXES,
        [{"flags": torch.tensor([True, False])}, {"flags": torch.tensor([False])}],
        [None, *LABELS, None],
        [*LABELS, {"label": torch.tensor(0.5)}, *LABELS],  # another type
        [*TAGS, {"other": torch.ones(2)}, None, *TAGS],
        [{"label": torch.tensor(1)}, {"label": torch.tensor([1, 2])}, {"label": torch.tensor(2)}],
    ],
)
def test_targets_come_back(given: list[dict[str, torch.Tensor] | None]) -> None:
    packed = PackedTargets()
    for targets in given:
        packed.append(targets)
    assert len(packed) == len(given)
    assert packed.known().tolist() == [targets is not None for targets in given]
    for found, expected in zip(packed, given, strict=True):
        if expected is None:
            assert found is None
            continue
        assert found is not None
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape)
            assert torch.equal(found[name], value)


@pytest.mark.parametrize("given", [LABELS, TAGS, BOXES, [None, *LABELS]])
def test_targets_are_repeated(given: list[dict[str, torch.Tensor] | None]) -> None:
    packed = PackedTargets()
    for targets in given:
        packed.append(targets)
    for index in (0, 1):
        packed.repeat(index)
    for found, expected in zip(packed[len(given) :], given[:2], strict=True):
        assert (found is None) == (expected is None)
        for name, value in (expected or {}).items():
            assert found is not None
            assert torch.equal(found[name], value)


UNSEEN = NoTargetError("").what


class Labels:
    """Stands for a task; ``look`` says whether its targets depend on the example."""

    def __init__(self, look: bool) -> None:
        self.look = look
        self.encoded: list[str] = []

    def canonical(self, reference: str) -> str:
        return reference.lower()

    def encode(self, reference: str, example: Example) -> dict[str, torch.Tensor]:
        self.encoded.append(reference)
        if reference == "unknown":
            raise NoTargetError("label 'unknown'")
        if reference == "odd":
            note("odd labels")
        return {"label": torch.tensor(len(reference) + (int(example["ids"][0]) if self.look else 0))}


def encode(task: Any, references: list[str]) -> tuple[list[int | None], list[str], dict[str, int]]:
    examples = [{"ids": torch.tensor([index])} for index in range(len(references))]
    store, targets = MemoryStore(examples, [1] * len(examples), (), RowNotes()), PackedTargets()
    encoder = TargetEncoder(task, training=False)
    with noting() as found:
        spelled = [encoder.add(reference, store, index, targets) for index, reference in enumerate(references)]
    return [None if each is None else int(each["label"]) for each in targets], spelled, dict(found)


REFERENCES = ["A", "bc", "A", "unknown", "odd", "bc", "odd", "unknown"]


def test_labels_that_recur_are_encoded_once() -> None:
    task = Labels(look=False)
    assert encode(task, REFERENCES) == (
        [1, 2, 1, None, 3, 2, 3, None],
        [reference.lower() for reference in REFERENCES],
        {UNSEEN: 2, "odd labels": 2},
    )
    # What was noted must be noted of each row.
    assert task.encoded == ["a", "bc", "unknown", "odd", "odd", "unknown"]


def test_targets_that_depend_on_the_example_are_made_for_each() -> None:
    task = Labels(look=True)
    found, _, _ = encode(task, REFERENCES)
    assert found == [1, 3, 3, None, 7, 7, 9, None]
    assert len(task.encoded) == len(REFERENCES)
