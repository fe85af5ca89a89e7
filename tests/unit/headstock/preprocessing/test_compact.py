"""What is kept small for each row is given back as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from headstock.preprocessing.compact import Digests, PackedTargets

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


def test_digests_come_back() -> None:
    given = [bytes([number] * 15 + [0]) for number in range(5)]
    digests = Digests(given)
    assert list(digests) == given
    assert (digests[0], digests[-1], list(digests[1:3])) == (given[0], given[-1], given[1:3])
    assert digests.joined() == b"".join(given)
    assert len(np.unique(digests.array())) == 5
    with pytest.raises(IndexError):
        digests[5]
    with pytest.raises(ValueError, match="3 bytes"):
        digests.append(b"abc")
