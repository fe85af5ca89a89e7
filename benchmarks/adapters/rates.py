"""Finds a learning rate for each method of peft: trains MiniLM on 500 questions of TREC and climbs to the best rate.

    python benchmarks/adapters/rates.py --data ../shared/data --out benchmarks/results/peft-rates.jsonl

The head's rate is 1e-3 throughout. Three rates are tried, and then further ones as long as the best lies at the edge.
Each run adds a line to the file; what is there already is not run again. The best is the one with the highest accuracy
in validation, the lower loss where two are equal.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import importlib.metadata
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import peft

import headstock
from headstock_adapters.peft.adapter import METHODS

RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
FIRST = (2, 3, 4)
ROWS = {"train": 500, "valid": 200, "test": 300}
SETTINGS = {
    "trainer.batch_size": 16,
    "trainer.max_steps": 60,
    "trainer.evaluate_every": 60,
    "trainer.head_learning_rate": 1e-3,
    "trainer.precision": "fp32",
}


def write_part(data: Path, folder: Path) -> Path:
    """Write some rows of each split, always the same ones."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in ROWS.items():
        with (data / "text_classification" / "trec_en" / f"{split}.csv").open(encoding="utf-8", newline="") as lines:
            header, *rows = csv.reader(lines)
        chosen = [rows[index] for index in np.random.default_rng(0).permutation(len(rows))[:count]]
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as lines:
            csv.writer(lines).writerows([header, *chosen])
    return folder


def train(method: str, rate: float, data: Path, out: Path) -> dict[str, Any]:
    """Return what came of one run."""
    adapter: dict[str, Any] = {"name": "peft", "method": method}
    if method == "trainable_tokens":
        adapter["options"] = {"token_indices": list(range(1000, 6000))}
    recipe = {
        "task": "text-classification",
        "backbone": "minilm",
        "adapter": adapter,
        "data": {"path": str(data)},
        "seed": 0,
    }
    result = headstock.run(recipe, {**SETTINGS, "trainer.learning_rate": rate}, out=out, force=True)
    lines = (out / "metrics.jsonl").read_text("utf-8").splitlines()
    last = [line for line in map(json.loads, lines) if line["kind"] == "validation"][-1]
    shutil.rmtree(out)
    return {
        "method": method,
        "rate": rate,
        "validation": round(last["accuracy"], 4),
        "loss": round(last["loss"], 4),
        "test": round(result.after.metrics["accuracy"] or 0.0, 4),
        "trained": result.trainable_parameters,
        "date": datetime.date.today().isoformat(),
        "peft": peft.__version__,
        "versions": {name: importlib.metadata.version(name) for name in ("headstock", "torch", "transformers")},
    }


def climb(method: str, known: Mapping[float, dict[str, Any]], run: Any) -> None:
    """Run the rates of a method until the best has neighbours on both sides."""
    found = dict(known)
    todo = [RATES[index] for index in FIRST]
    while todo:
        for rate in todo:
            if rate not in found:
                found[rate] = run(method, rate)
        best = max(found, key=lambda rate: (found[rate]["validation"], -found[rate]["loss"]))
        index = RATES.index(best)
        todo = [RATES[near] for near in (index - 1, index + 1) if 0 <= near < len(RATES) and RATES[near] not in found]


def main() -> None:
    """Run what the file lacks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--work", type=Path, default=Path("runs/peft-rates"))
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    os.environ.setdefault("HEADSTOCK_CACHE", str(arguments.work / "cache"))
    part = write_part(arguments.data, arguments.work / "part")
    lines = (
        [json.loads(line) for line in arguments.out.read_text("utf-8").splitlines()] if arguments.out.exists() else []
    )

    def run(method: str, rate: float) -> dict[str, Any]:
        found = train(method, rate, part, arguments.work / f"run-{os.getpid()}")
        with arguments.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(found) + "\n")
        sys.stderr.write(f"{method} {rate} {found['test']}\n")
        return found

    for method in arguments.methods:
        climb(method, {line["rate"]: line for line in lines if line["method"] == method}, run)


if __name__ == "__main__":
    main()
