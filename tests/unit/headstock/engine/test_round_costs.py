"""Batches of a run are cut in one way, wherever it is resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import headstock
from headstock import HeadstockError
from headstock.digests import seal
from headstock.engine.run_directory import RunDirectory
from headstock.engine.session import uses_round_costs
from headstock.interfaces.values.padding import rounded
from headstock.recipe.read import resolve_recipe
from headstock.trainer.plan.batches import BatchPlan, Indices
from headstock_registry import load_catalogue

GPU, CPU = torch.device("cuda"), torch.device("cpu")


def rounds(folder: Path, device: torch.device, resume: bool, *options: str) -> bool:
    return uses_round_costs(
        RunDirectory(folder), resolve_recipe(load_catalogue(), "text-classification", options), device, resume
    )


def test_costs_are_round_on_a_gpu(tmp_path: Path) -> None:
    assert rounds(tmp_path, GPU, False)
    assert not rounds(tmp_path, CPU, False)
    assert not rounds(tmp_path, GPU, False, "trainer.cuda_graphs=false")


@pytest.mark.parametrize("device", [GPU, CPU])
@pytest.mark.parametrize("before", [True, False])
def test_a_run_is_resumed_as_it_began(tmp_path: Path, device: torch.device, before: bool) -> None:
    (tmp_path / "environment.json").write_text(seal({"round_costs": before}))
    assert rounds(tmp_path, device, True) is before
    assert rounds(tmp_path, device, False) is (device == GPU)


def test_a_run_of_before_was_cut_by_plain_costs(tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text(seal({}))
    assert not rounds(tmp_path, GPU, True)


@pytest.mark.parametrize("before", [True, False])
def test_batches_are_cut_as_the_run_began(tmp_path: Path, before: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    costs: list[list[int]] = []

    class Watched(BatchPlan):
        def __init__(self, given: Indices, *arguments: Any) -> None:
            costs.append(given.tolist())
            super().__init__(given, *arguments)

    monkeypatch.setattr("headstock.engine.training.BatchPlan", Watched)
    monkeypatch.setattr("headstock.engine.session.uses_round_costs", lambda *_: before)
    options = {"backbone": "textcnn", "data.limit": 60, "trainer.max_steps": 1, "trainer.device": "cpu"}
    result = headstock.run("text-classification", options, out=tmp_path / "run")
    assert json.loads((result.path / "environment.json").read_text())["round_costs"] is before
    (given,) = costs
    assert (given == rounded(np.array(given)).tolist()) is before


@pytest.mark.parametrize("content", ["", "[]", '{"round_costs": true}'])
def test_a_record_that_was_changed_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "environment.json").write_text(content)
    with pytest.raises(HeadstockError, match=r"environment\.json is not what was written"):
        rounds(tmp_path, CPU, True)
