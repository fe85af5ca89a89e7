from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from headstock.interfaces import Batch
from headstock.kits.classification import Classification, ClassificationConfig


class Plain(Classification):
    def sample(self) -> Any:
        return {}

    def inputs(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        return row


@pytest.fixture
def task() -> Plain:
    task = Plain(ClassificationConfig(class_weights="balanced"))
    task.learn(["a", "a", "a", "b"])
    return task


def count(task: Plain, device: str = "cpu") -> Tensor:
    target = torch.tensor([0, 1, 1], device=device)
    return task.loss({"logits": torch.zeros(3, 2, device=device)}, Batch({}, {"label": target}, 3)).count


def test_class_weights_are_placed_once_and_follow_what_is_learnt(task: Plain, monkeypatch: pytest.MonkeyPatch) -> None:
    first, state = count(task), task.state()
    with monkeypatch.context() as patch:
        patch.delattr(torch, "tensor")
        logits = torch.zeros(3, 2)
        again = task.loss({"logits": logits}, Batch({}, {"label": torch.zeros(3).long()}, 3)).count
    assert task.weights is not None
    assert first.item() == pytest.approx(task.weights[0] + 2 * task.weights[1])
    assert again.item() == pytest.approx(3 * task.weights[0])
    task.learn(["a", "b"])
    assert count(task).item() == pytest.approx(3.0)
    task.restore(state)
    assert count(task).item() == pytest.approx(first.item())
    assert task.state() == state


def test_class_weights_go_where_the_logits_are(task: Plain) -> None:
    count(task)
    assert count(task, "meta").device.type == "meta"


def test_a_batch_is_pinned_for_a_copy_to_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def pin(value: Tensor) -> Tensor:
        calls.append("pin")
        return value

    def to(value: Tensor, device: torch.device, non_blocking: bool) -> Tensor:
        calls.append(f"to {device.type} {non_blocking}")
        return value

    monkeypatch.setattr(Tensor, "pin_memory", pin)
    monkeypatch.setattr(Tensor, "to", to)
    batch = Batch({"x": torch.zeros(1)}, {}, 1)
    batch.to(torch.device("cuda"))
    batch.to(torch.device("cpu"))
    assert calls == ["pin", "to cuda True", "to cpu True"]
