"""Batches of a run are cut in one way, wherever it goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from headstock import HeadstockError
from headstock.engine.directory import RunDirectory
from headstock.engine.run import _rounds, resolve_recipe
from headstock_registry import load_catalogue

GPU, CPU = torch.device("cuda"), torch.device("cpu")


def rounds(folder: Path, device: torch.device, resume: bool, *options: str) -> bool:
    return _rounds(
        RunDirectory(folder), resolve_recipe(load_catalogue(), "text-classification", options), device, resume
    )


def test_costs_are_round_on_a_gpu(tmp_path: Path) -> None:
    assert rounds(tmp_path, GPU, False)
    assert not rounds(tmp_path, CPU, False)
    assert not rounds(tmp_path, GPU, False, "trainer.cuda_graphs=false")


@pytest.mark.parametrize("device", [GPU, CPU])
@pytest.mark.parametrize("before", [True, False])
def test_a_run_goes_on_as_it_began(tmp_path: Path, device: torch.device, before: bool) -> None:
    (tmp_path / "environment.json").write_text(json.dumps({"round_costs": before}))
    assert rounds(tmp_path, device, True) is before
    assert rounds(tmp_path, device, False) is (device == GPU)


def test_a_run_of_before_was_cut_by_plain_costs(tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text("{}")
    assert not rounds(tmp_path, GPU, True)


@pytest.mark.parametrize("content", ["", "[]"])
def test_a_record_that_was_changed_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "environment.json").write_text(content)
    with pytest.raises(HeadstockError, match=r"environment\.json is not what was written"):
        rounds(tmp_path, CPU, True)
