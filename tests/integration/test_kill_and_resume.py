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


KILLS = 4


def start(folder: Path, env: dict[str, str], arguments: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "headstock", "run", *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


def wait_for(process: subprocess.Popen[str], log: Path, lines: int) -> None:
    """Wait until a log has so many lines, counting only what this process may have added."""
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        if log.exists() and len(log.read_text().splitlines()) >= lines:
            return
        time.sleep(0.01)


def deterministic(run: Path) -> dict[str, Any]:
    results = json.loads((run / "results.json").read_text())
    results["training"] = {
        key: value
        for key, value in results["training"].items()
        if key not in {"examples_per_second", "encoding_seconds", "seconds", "peak_memory_mb"}
    }
    return results


@pytest.mark.slow
@pytest.mark.parametrize("task", RECIPES)
def test_killed_runs_end_the_same(task: str, tmp_path: Path, command_env: Any) -> None:
    arguments = [task, *RECIPES[task], "trainer.checkpoint_every=3", "trainer.log_every=2"]
    finish(start(tmp_path, command_env(), [*arguments, "--out", "straight"]))
    lines = len((tmp_path / "straight/metrics.jsonl").read_text().splitlines())

    chance = random.Random(task)
    process = start(tmp_path, command_env(), [*arguments, "--out", "killed"])
    for kill in range(KILLS):
        # Killed when so much is logged that was not before, and a moment later: in a step, a checkpoint, a validation.
        wait_for(process, tmp_path / "killed/metrics.jsonl", 1 + kill * (lines - 2) // KILLS)
        time.sleep(chance.uniform(0, 0.1))
        assert process.poll() is None, "the run ended before it was killed"
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        process = start(tmp_path, command_env(), [*arguments, "--out", "killed", "--resume"])
    finish(process)

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
    wait_for(process, tmp_path / "run/metrics.jsonl", 1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "headstock run run --resume" in errors
    assert "Traceback" not in errors
    assert list((tmp_path / "run/checkpoints").glob("step-*/checkpoint.json"))
