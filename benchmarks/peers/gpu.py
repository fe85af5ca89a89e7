"""Trains the same models on a GPU with Headstock and with the Trainer of transformers, by turns, in one process.

python benchmarks/peers/gpu.py                                        # all tasks, five rounds
python benchmarks/peers/gpu.py --task text_reviews --rounds 1 --results try.json

Starting a process takes longer here than training does, so the sides take turns within one. A round over a few rows
comes first and does not count: it loads kernels. Where cuDNN's attention is on, as it is by default, the Trainer's
later rounds find the plans that the first one made; the side trainer-flash needs none.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

import records
import tiny
import torch
from compare import METRICS, now, read_run, say
from hf_common import read_job, train_and_test
from reference import SCRIPTS
from transformers import set_seed

import headstock

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "peers-gpu.json"
TASKS = ("text_reviews", "text_lora", "text_base", "text_tiny", "token_classification", "image_classification")
WARM_UP = 96
"""Rows of the round that does not count."""

OURS = {records.OURS: {}, "headstock-eager": {"trainer.cuda_graphs": False}}
"""Headstock's sides, and the options that tell them apart."""


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="Compare Headstock with the Trainer of transformers on a GPU.")
    parser.add_argument("--task", nargs="+", default=TASKS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument(
        "--sides",
        nargs="+",
        default=[*OURS, "trainer-best", "trainer-flash"],
        help="also trainer-defaults, -workers, -compiled",
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="file of records that is appended to")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("torch sees no GPU; on a CPU: python benchmarks/peers/compare.py")
    comparison = now()
    tiny.make()
    tiny.make_base()
    for number in range(given.rounds + 1):
        for task in given.task:
            for side in given.sides:
                record = _turn(task, side, number, given.epochs, None if number else WARM_UP)
                if number:
                    say(f"round {number}, {task}, {side}: {record['examples_per_second']:.0f} examples/s")
                    records.append(given.results, {"comparison": comparison, **record})
    print(records.table(each for each in records.read(given.results) if each["comparison"] == comparison))


def _turn(task: str, side: str, seed: int, epochs: int, limit: int | None = None) -> dict[str, Any]:
    """Run one side once, on ``limit`` rows of each split at most, and return its record."""
    recipe = HERE / "recipes" / f"{task}.yaml"
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    precision = "fp32" if side == "trainer-defaults" else "bf16"
    if side in OURS:
        options = {"trainer.epochs": epochs, "trainer.precision": precision, "data.limit": limit, **OURS[side]}
        with tempfile.TemporaryDirectory() as folder:
            result = headstock.run(recipe, {"seed": seed, **options}, out=Path(folder) / "run")
            figures, environment = read_run(result.path, epochs)
    else:
        variant: Any = side.removeprefix("trainer-")
        job = read_job(recipe, seed=seed, variant=variant, precision=precision, epochs=epochs, limit=limit)
        script = importlib.import_module(f"loops.hf_{SCRIPTS.get(task, task)}")
        set_seed(seed)
        figures = train_and_test(job, script.prepare(job))
        environment = figures.pop("environment")
    metric, better = METRICS[task]
    return {
        "date": now(),
        "task": task,
        "side": side,
        "precision": "bf16",
        "seed": seed,
        "epochs": epochs,
        "limit": limit,
        "metric": metric,
        "better": better,
        **figures,
        "reserved_memory_mb": torch.cuda.max_memory_reserved() / 2**20,
        "command": shlex.join(["python", "benchmarks/peers/gpu.py", *sys.argv[1:]]),
        "environment": {**environment, "device": torch.cuda.get_device_name()},
    }


if __name__ == "__main__":
    main()
