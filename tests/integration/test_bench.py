"""``headstock bench`` from the command line to the table, with real runs on a task's sample."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

GOOD = {"task": "text-classification", "backbone": "textcnn", "data": {"limit": 40}, "trainer": {"max_steps": 2}}
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # for networks this small more threads only wait for each other
BAD = {"task": "text-classification", "data": {"path": "nowhere.csv"}}


def write_suite(folder: Path, seeds: tuple[int, ...] = (0,), **cases: Any) -> Path:
    path = folder / "mine.yaml"
    content = {"name": "mine", "summary": "made up for a test", "seeds": list(seeds), "cases": cases}
    path.write_text(yaml.safe_dump(content), "utf-8")
    return path


def records(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "benchmarks-results" / "mine" / "results.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.slow
def test_a_suite_is_run_once_told_of_failures_and_tabulated(cli: Any, tmp_path: Path) -> None:
    write_suite(tmp_path, bad=BAD, good=GOOD)
    out = tmp_path / "benchmarks-results" / "mine"

    first = cli("bench", "mine.yaml", env=ONE_THREAD)
    assert first.returncode == 1, first.stderr
    assert "bad seed 0: failed after" in first.stderr
    assert "nowhere.csv does not exist" in first.stderr
    assert "[2/2] good seed 0: accuracy" in first.stderr
    header, bad, good = first.stdout.splitlines()
    assert header.split()[:3] == ["case", "runs", "metric"]
    assert bad.startswith("bad   0/1, 1 failed")
    assert good.startswith("good  1/1")
    failed, done = records(tmp_path)
    assert (failed["status"], failed["error"]) == ("failed", "nowhere.csv does not exist")
    result = json.loads((out / "cells" / "good" / "seed-0" / "results.json").read_text("utf-8"))
    assert done["measurement"]["after"] == result["after"]["metrics"]
    assert done["provenance"]["versions"]["torch"]
    assert done["provenance"]["device"]
    assert not (out / "cells" / "good" / "seed-0" / "model").exists()
    page = (out / "table.md").read_text("utf-8")
    assert "| good | 1/1 | accuracy ↑ |" in page
    assert "- command: `headstock bench mine.yaml`" in page

    again = cli("bench", "mine.yaml", "--json", env=ONE_THREAD)
    assert again.returncode == 1
    assert "2 of 2 runs are recorded already" in again.stderr
    assert len(records(tmp_path)) == 2
    summaries = json.loads(again.stdout)
    assert summaries[0]["failed"] == {"0": "nowhere.csv does not exist"}
    assert summaries[1]["figures"]["after"]["mean"] == pytest.approx(result["after"]["metrics"]["accuracy"])

    write_suite(tmp_path, bad=BAD, good={**GOOD, "trainer": {"max_steps": 3}})
    changed = cli("bench", "mine.yaml", "--only", "g*", "--keep-weights", env=ONE_THREAD)
    assert changed.returncode == 0, changed.stderr
    assert [record["case"] for record in records(tmp_path)] == ["bad", "good", "good"]
    assert records(tmp_path)[-1]["measurement"]["steps"] == 3
    assert (out / "cells" / "good" / "seed-0" / "model").is_dir()


@pytest.mark.slow
def test_ctrl_c_saves_the_run_and_the_same_command_resumes(
    cli: Any, command_env: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    slow = {
        **GOOD,
        "trainer": {"epochs": 100, "max_steps": 300, "batch_size": 8, "evaluate_every": 100, "log_every": 1},
    }
    write_suite(tmp_path, slow=slow)
    run = tmp_path / "benchmarks-results" / "mine" / "cells" / "slow" / "seed-0"
    bench = subprocess.Popen(
        [sys.executable, "-m", "headstock", "bench", "mine.yaml"],
        env={**command_env(), **ONE_THREAD},
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    limit = time.monotonic() + 100
    while not (run / "speed.jsonl").exists() and bench.poll() is None and time.monotonic() < limit:
        time.sleep(0.02)
    bench.send_signal(signal.SIGINT)
    _, stderr = bench.communicate(timeout=600)
    assert bench.returncode == 130, stderr
    assert stderr.splitlines()[-1] == "error: stopped with 1 of 1 runs to go; the same command resumes it"
    assert not (run / "results.json").exists()
    assert any((run / "checkpoints").iterdir())

    after = cli("bench", "mine.yaml", env=ONE_THREAD)
    assert after.returncode == 0, after.stderr
    (record,) = records(tmp_path)
    assert (record["status"], record["measurement"]["steps"], record["measurement"]["resumed"]) == ("ok", 300, True)
