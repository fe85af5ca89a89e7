"""Trains on a machine that other processes keep busy: how much of the speed alone is left, on both sides.

python benchmarks/peers/busy.py                            # the samples and the Trainer, three rounds
python benchmarks/peers/busy.py --rounds 1 --task text-classification --epochs 1 --results try.json   # a quick try

Headstock trains the samples of two tasks, once as it comes, so that OpenMP's threads spin for a while and then sleep,
and once with ``OMP_WAIT_POLICY=active``; the Trainer of transformers trains ``recipes/text_tiny.yaml`` and Headstock
beside it.
Each turn is a process. Beside it run nothing, and then as many processes that count in Python as ``--busy`` says.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import tiny
from compare import RESULTS, ROOT, now, read_run, say, turns

SAMPLES = {"image-classification": "smallcnn", "text-classification": "textcnn"}
"""Tasks whose samples are trained on, and the backbones."""
RECIPE = "text_tiny"
POLICIES: dict[str, dict[str, str]] = {"headstock": {}, "headstock-active": {"OMP_WAIT_POLICY": "active"}}
"""What is set in the environment of Headstock; without anything it lets threads spin for a while, then sleep."""
OPENMP = ("OMP_", "GOMP_", "KMP_", "MKL_")
PLACES = ("alone", "beside")
BUSY = """
import os
parent = os.getppid()
while os.getppid() == parent:  # whatever ends this script ends them
    for _ in range(10**6):
        pass
"""
EPOCHS = 3


class Side(NamedTuple):
    """What is run again and again.

    Attributes:
        task: A task's name, whose sample is trained on, or the name of a recipe for both sides.
        name: ``headstock``, ``headstock-active`` or ``trainer-best``.
        command: Its command line, without the place for results.
        variables: What is set in its environment.
    """

    task: str
    name: str
    command: list[str]
    variables: dict[str, str]


def main() -> None:
    """Measure, write the record, print a table."""
    given = _arguments()
    record: dict[str, Any] = {
        "date": now(),
        "command": shlex.join(["python", *sys.argv]),
        "busy": given.busy,
        "cpus": len(os.sched_getaffinity(0)),
        "turns": [],
    }
    for task in given.task:
        sides = list(_sides(task, given.epochs, given.limit))
        for number in range(given.rounds):
            for side in sides:
                for place in PLACES:
                    say(f"{task}, round {number + 1}: {side.name}, {place}")
                    with busy(given.busy if place == "beside" else 0):
                        speed, environment = _speed(side, given.epochs)
                    record["environment"] = environment or record.get("environment")
                    turn = {"task": task, "side": side.name, "place": place, "round": number}
                    record["turns"].append({**turn, "examples_per_second": speed})
    given.results.parent.mkdir(parents=True, exist_ok=True)
    given.results.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    print(table(record))


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep so many CPUs busy meanwhile."""
    others = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def _sides(task: str, epochs: int, limit: int | None) -> Iterator[Side]:
    if task in SAMPLES:
        options = [f"backbone={SAMPLES[task]}", f"trainer.epochs={epochs}", "trainer.patience=null"]
        command = [sys.executable, "-m", "headstock", "run", task, *options]
        command += [] if limit is None else [f"data.limit={limit}"]
        for name, variables in POLICIES.items():
            yield Side(task, name, command, variables)
        return
    tiny.make()
    ours, theirs = turns(task, Path("benchmarks/peers/recipes") / f"{task}.yaml", None, epochs, limit, 0, ["best"])
    for name, variables in POLICIES.items():
        yield Side(task, name, ours.command, variables)
    yield Side(task, theirs.side, theirs.command, {})


def _speed(side: Side, epochs: int) -> tuple[float, dict[str, Any]]:
    """Run a side once; return its training examples by second, and where Headstock ran."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OPENMP)}
    with tempfile.TemporaryDirectory() as folder:
        place = {**kept, "HEADSTOCK_CACHE": str(Path(folder) / "cache"), **side.variables}
        out = Path(folder) / "out"
        options = ["--out", str(out), *(["--quiet"] if side.name in POLICIES else [])]
        done = subprocess.run(
            [*side.command, *options], cwd=ROOT, env=place, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"{side.name} failed:\n{done.stderr[-2000:]}")
        if side.name in POLICIES:
            figures, environment = read_run(out, epochs)
            return float(figures["examples_per_second"]), environment
        return float(json.loads(out.read_text("utf-8"))["examples_per_second"]), {}


def table(record: dict[str, Any]) -> str:
    """Return a Markdown table: speed alone and beside busy processes, and what the way of waiting costs alone."""
    lines = [
        f"| task | side | alone, examples/s | beside {record['busy']}, examples/s | beside by alone (least to most) "
        "| alone, by active waiting (least to most) |",
        "| --- | --- | ---: | ---: | --- | --- |",
    ]
    speeds: dict[tuple[str, str], dict[str, list[float]]] = {}
    for turn in record["turns"]:
        places = speeds.setdefault((turn["task"], turn["side"]), {place: [] for place in PLACES})
        places[turn["place"]].append(turn["examples_per_second"])
    for (task, side), found in speeds.items():
        alone, beside = found["alone"], found["beside"]
        active = speeds[task, "headstock-active"]["alone"]
        lines.append(
            f"| {task} | {side} | {statistics.median(alone):.1f} | {statistics.median(beside):.1f} "
            f"| {_ratio(beside, alone)} | {_ratio(alone, active) if side == 'headstock' else ''} |"
        )
    return "\n".join(lines)


def _ratio(upper: list[float], lower: list[float]) -> str:
    ratios = [a / b for a, b in zip(upper, lower, strict=True)]
    return f"{statistics.median(upper) / statistics.median(lower):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare training alone and beside busy processes.")
    parser.add_argument("--task", nargs="+", choices=(*SAMPLES, RECIPE), default=[*SAMPLES, RECIPE])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--limit", type=int, help="rows of each split at most, for a quick try")
    parser.add_argument("--busy", type=int, default=2, help="busy processes beside a turn")
    parser.add_argument("--results", type=Path, default=RESULTS.with_name("busy.json"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
