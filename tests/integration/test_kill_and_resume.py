"""A run killed with SIGKILL at any moment and resumed ends as one that was never interrupted, bit for bit."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

RECIPES = {
    "text-classification": ["trainer.epochs=3", "data.limit=300"],
    "image-classification": ["trainer.epochs=2", "data.limit=300"],
}


def start(folder: Path, env: dict[str, str], arguments: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "headstock", "run", *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


def deterministic(run: Path) -> dict[str, Any]:
    results = json.loads((run / "results.json").read_text())
    results["training"] = {
        key: value
        for key, value in results["training"].items()
        if key not in {"examples_per_second", "seconds", "peak_memory_mb"}
    }
    return results


@pytest.mark.slow
@pytest.mark.parametrize("task", RECIPES)
def test_killed_runs_end_the_same(task: str, tmp_path: Path, command_env: Any) -> None:
    arguments = [task, *RECIPES[task], "trainer.checkpoint_every=3", "trainer.log_every=2"]
    began = time.monotonic()
    finish(start(tmp_path, command_env(), [*arguments, "--out", "straight"]))
    duration = time.monotonic() - began

    moments = random.Random(task)
    kills = 0
    process = start(tmp_path, command_env(), [*arguments, "--out", "killed"])
    while kills < 5:
        try:
            process.wait(timeout=duration * moments.uniform(0.4, 0.9))
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
            process = start(tmp_path, command_env(), [*arguments, "--out", "killed", "--resume"])
    finish(process)
    assert kills > 0

    straight, killed = tmp_path / "straight", tmp_path / "killed"
    assert deterministic(straight) == deterministic(killed)
    for name in ("metrics.jsonl", "predictions.jsonl"):
        assert (straight / name).read_bytes() == (killed / name).read_bytes()
    files = sorted(path.relative_to(straight) for path in straight.rglob("*.safetensors"))
    assert files
    for file in files:
        first, second = load_file(straight / file), load_file(killed / file)
        assert first.keys() == second.keys()
        assert all(first[name].equal(second[name]) for name in first), file


def test_sigint_saves_and_says_how_to_go_on(tmp_path: Path, command_env: Any) -> None:
    process = start(tmp_path, command_env(), ["text-classification", "trainer.epochs=500", "--out", "run"])
    metrics = tmp_path / "run/metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.exists() and metrics.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "headstock run run --resume" in errors
    assert "Traceback" not in errors
    assert list((tmp_path / "run/checkpoints").glob("step-*/checkpoint.json"))
