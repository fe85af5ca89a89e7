"""A run killed with SIGKILL at any moment and resumed ends as one that was never interrupted, bit for bit."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from headstock_registry import load_catalogue

KILLS = 21
SMALL = {"text-classification": "textcnn", "token-classification": "bilstm", "image-classification": "smallcnn"}
"""Backbones in place of defaults that would make one task's test last for minutes."""
OPTIONS = {
    "data.limit": 12,
    "trainer.epochs": 6,
    "trainer.batch_size": 2,
    "trainer.gradient_accumulation_steps": 2,
    "trainer.evaluate_every": 9,
    "trainer.checkpoint_every": 2,
    "trainer.log_every": 1,
    "trainer.patience": None,
}

Chain = Callable[[str, Path], dict[str, int]]


@pytest.fixture(scope="module")
def chain(command_env: Any) -> Iterator[Chain]:
    """Run a task without a kill and with many; return how many struck where. One process serves all tasks."""
    command = [sys.executable, str(Path(__file__).with_name("killing.py"))]
    env = {**command_env(), "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def ask(task: str, folder: Path) -> dict[str, int]:
            assert process.stdin is not None
            assert process.stdout is not None
            options = OPTIONS | ({"backbone": SMALL[task]} if task in SMALL else {})
            if task == "text-classification":
                options |= {"methods": ["ema", "freelb", "r-drop"]}
            request = {"task": task, "options": options, "folder": str(folder), "kills": KILLS}
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            answer: dict[str, Any] = json.loads(process.stdout.readline())
            assert "error" not in answer, answer["error"]
            return answer

        yield ask
        process.stdin.close()


def deterministic(run: Path) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((run / "results.json").read_text())
    for name in ("examples_per_second", "encoding_seconds", "seconds", "peak_memory_mb"):
        del results["training"][name]
    return results


@pytest.mark.parametrize("task", load_catalogue().names("task"))
def test_killed_runs_end_the_same(task: str, tmp_path: Path, chain: Chain) -> None:
    struck = chain(task, tmp_path)
    assert sum(struck.values()) >= 20, struck
    assert struck["training"] >= 8, struck
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    assert deterministic(straight) == deterministic(killed)
    for name in ("metrics.jsonl", "predictions.jsonl", "before.json"):
        assert (straight / name).read_bytes() == (killed / name).read_bytes()
    files = sorted(path.relative_to(straight) for path in straight.rglob("*.safetensors"))
    assert files
    for file in files:
        first, second = load_file(straight / file), load_file(killed / file)
        assert first.keys() == second.keys()
        assert all(first[name].equal(second[name]) for name in first), file


def test_sigint_saves_and_says_how_to_resume(tmp_path: Path, command_env: Any) -> None:
    arguments = ["text-classification", "backbone=textcnn", "trainer.epochs=500", "--out", "run"]
    process = subprocess.Popen(
        [sys.executable, "-m", "headstock", "run", *arguments],
        cwd=tmp_path,
        env=command_env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    log = tmp_path / "run/metrics.jsonl"
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline and not (log.exists() and log.stat().st_size):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 130, errors
    assert "headstock run run --resume" in errors
    assert "Traceback" not in errors
    assert list((tmp_path / "run/checkpoints").glob("step-*/checkpoint.json"))
