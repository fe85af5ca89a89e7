"""Memory that runs out over an evaluation: what can be done without goes first, and nothing counts twice."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from headstock.console import Console
from headstock.engine.models.module import TuningModule
from headstock.engine.passes.loop import split_cost_limit
from headstock.engine.passes.predictions import evaluate_split
from headstock.engine.setup import build_module, prepare_data
from headstock.recipe.read import resolve_recipe
from headstock.trainer.step.out_of_memory import MemoryRelief
from headstock_registry import load_catalogue


@pytest.mark.parametrize("spare", [True, False])
def test_batches_are_cut_only_if_nothing_else_can_go(spare: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["backbone=textcnn", "data.limit=60", "trainer.device=cpu", "trainer.precision=fp32"]
    resolved, console = resolve_recipe(load_catalogue(), "text-classification", options), Console(quiet=True)
    data = prepare_data(resolved, console)
    module, split = build_module(resolved, data), data.splits["train"]
    expected = evaluate_split(module, split, resolved.trainer, console, "test")

    original, fails = TuningModule.forward, [True]

    def full(self: TuningModule, *arguments: Any) -> Any:
        if fails:
            fails.clear()
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return original(self, *arguments)

    monkeypatch.setattr(TuningModule, "forward", full)
    asked: list[bool] = []
    relief = MemoryRelief()

    def release() -> bool:
        asked.append(True)
        return spare

    relief.register(release)
    limit = split_cost_limit(split, relief)
    found = evaluate_split(module, split, resolved.trainer, console, "test", limit=limit)
    assert asked == [True]
    assert (limit.value is None) is spare
    assert found.metrics == pytest.approx(expected.metrics)
