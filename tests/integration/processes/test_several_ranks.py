"""A run that torchrun starts in two processes gives what one process gives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import headstock
from headstock.trainer.progress.stop_signal import InterruptedRunError
from headstock.trainer.step.gradient import Gradient

PROGRAM = Path(__file__).with_name("on_several_ranks.py")

COMMON = {"data.limit": 61, "trainer.epochs": 2, "trainer.batch_size": 10, "trainer.learning_rate": 3e-3}
EXACT = {"task.dropout": 0.0, "backbone.dropout": 0.0}
RECIPES: dict[str, dict[str, Any]] = {
    "full": {**EXACT, "backbone.name": "textcnn", "backbone.word_dropout": 0.0},
    "methods": {
        **EXACT,
        "backbone.name": "textcnn",
        "backbone.word_dropout": 0.0,
        "trainer.gradient_accumulation_steps": 2,
        "methods": ["ema", {"name": "pgd", "steps": 2}, "r-drop"],
    },
    "sharded": {**EXACT, "backbone.name": "textcnn", "backbone.word_dropout": 0.0, "trainer.fsdp": True},
    "sharded-lora": {
        **EXACT,
        "backbone.name": "subword-transformer",
        "adapter.name": "lora",
        "adapter.dropout": 0.0,
        "trainer.fsdp": True,
        "trainer.gradient_accumulation_steps": 3,
        "trainer.precision": "fp32",
    },
}
"""Nothing random where batches are cut; odd numbers, so that parts are uneven."""


def recipe(name: str) -> dict[str, Any]:
    return {"recipe": "text-classification", "overrides": {**COMMON, **RECIPES[name]}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("several")


@pytest.fixture(scope="module")
def printed(folder: Path, torchrun: Callable[..., subprocess.CompletedProcess[str]]) -> str:
    """Do all runs in two processes; return what they printed and their exit code."""
    with pytest.MonkeyPatch.context() as patch:
        accumulate = Gradient.accumulate

        def stopping(self: Gradient, batches: Any, step: int) -> Any:
            if step == 4:
                os.kill(os.getpid(), signal.SIGTERM)
            return accumulate(self, batches, step)

        patch.setattr(Gradient, "accumulate", stopping)
        for name in ("full", "sharded"):
            with pytest.raises(InterruptedRunError):
                headstock.run(**recipe(name), out=folder / f"{name}-one-two")
    work = [{**recipe(name), "out": str(folder / name)} for name in RECIPES]
    for name in ("full", "sharded"):
        work.append({**recipe(name), "out": str(folder / f"{name}-one-two"), "resume": True})
    said = ""
    # A run that is stopped ends its processes.
    for name, before in (("full", work), ("sharded", [])):
        stopped = {**recipe(name), "out": str(folder / f"{name}-two-one"), "stop_at": 6}
        (folder / "work.json").write_text(json.dumps([*before, stopped]))
        done = torchrun(folder, str(PROGRAM), "work.json")
        said += f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return said


def assert_same_run(found: Path, expected: Path) -> None:
    """Numbers that training moves are equal within rounding, all else is the same."""
    results, others = (json.loads((run / "results.json").read_text()) for run in (found, expected))
    for record in (results, others):
        for key in ("examples_per_second", "encoding_seconds", "seconds", "peak_memory_mb"):
            del record["training"][key]
    assert_near(results, others)
    assert results["before"] == others["before"]
    assert len(lines(found / "predictions.jsonl")) == results["examples"]["test"]
    for name in ("predictions.jsonl", "metrics.jsonl"):
        assert_near(lines(found / name), lines(expected / name))
    files = sorted(path.relative_to(expected) for path in expected.rglob("*.safetensors"))
    assert files
    for file in files:
        tensors, wanted = load_file(found / file), load_file(expected / file)
        assert tensors.keys() == wanted.keys()
        for tensor in wanted:
            torch.testing.assert_close(tensors[tensor], wanted[tensor], rtol=1e-2, atol=1e-3)


def assert_near(found: Any, expected: Any) -> None:
    if isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-4)
    elif isinstance(expected, dict | list):
        assert len(found) == len(expected)
        for key in expected if isinstance(expected, dict) else range(len(expected)):
            assert_near(found[key], expected[key])
    else:
        assert found == expected


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("name", RECIPES)
def test_two_ranks_give_what_one_gives(name: str, printed: str, folder: Path, tmp_path: Path) -> None:
    assert (folder / name / "results.json").exists(), printed
    headstock.run(**recipe(name), out=tmp_path / "alone")
    assert_same_run(folder / name, tmp_path / "alone")
    results = [json.loads(line) for line in printed.splitlines() if line.startswith('["') and f'/{name}"' in line]
    assert sorted(rank for rank, *_ in results) == ["0", "1"]
    assert results[0][1:] == results[1][1:]


def test_sharded_parameters_are_held_once(printed: str, folder: Path) -> None:
    parameters = json.loads((folder / "sharded" / "results.json").read_text())["parameters"]
    said = [json.loads(line) for line in printed.splitlines() if line.startswith('{"layers"')][:2]
    assert said[0]["held"] + said[1]["held"] == parameters, printed
    assert all(0.45 < each["held"] / parameters < 0.55 and each["layers"] >= 2 for each in said)


@pytest.mark.parametrize("name", ["full", "sharded"])
def test_a_run_is_resumed_on_another_number_of_ranks(name: str, printed: str, folder: Path) -> None:
    assert printed.count("InterruptedRunError: stopped at step 8 of") == 4, printed
    written = sorted((folder / f"{name}-two-one/checkpoints/step-00000008").rglob("*.safetensors"))
    if name == "sharded":  # each rank has written its half
        assert [path.parent.name for path in written] == ["best"] * 2 + ["model"] * 2 + ["optimizer"] * 2
        assert all(
            0.8 < one.stat().st_size / other.stat().st_size < 1.25
            for one, other in zip(written[::2], written[1::2], strict=True)
        )
    else:
        assert [path.name for path in written] == ["best.safetensors", "model.safetensors", "optimizer.safetensors"]
    headstock.run(**recipe(name), out=folder / f"{name}-two-one", resume=True)
    for way in ("one-two", "two-one"):
        assert_same_run(folder / f"{name}-{way}", folder / "full")


def test_bad_input_is_said_once(folder: Path, torchrun: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = torchrun(folder, "-m", "headstock", "run", "text-classification", "path=nowhere.csv", "--out", "bad")
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if "error: " in line]
    assert errors == ["error: nowhere.csv does not exist"]
    assert "exitcode  : 2 " in done.stderr
    assert not (folder / "bad").exists()
