"""Trains with and without a training method, and tests on clean inputs and under attack.

    python benchmarks/methods/robust.py --data ../shared/data --work FOLDER --out FILE.jsonl
    python benchmarks/methods/robust.py --table FILE.jsonl

The attack is projected gradient descent on the continuous input (Madry et al. 2018), ten steps within a radius that is
a share of the norm of the input. Seeds also choose the training rows, so that runs are compared in pairs.
Each run adds a line to the file; what is there already is not run again.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import statistics
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from scipy import stats
from torch import Tensor

import headstock
from headstock.console import Console
from headstock.engine.models.model_files import load_model
from headstock.engine.setup import prepare_data
from headstock.interfaces import Batch
from headstock.recipe.read import resolve_recipe
from headstock_registry import load_catalogue

STEPS = 10
TEXT = {"task": "text-classification", "backbone": "textcnn", "radius": 0.1}
CELLS: Mapping[str, Mapping[str, Any]] = {
    "trec_en": {**TEXT, "set": "text_classification/trec_en"},
    "thucnews10_zh": {**TEXT, "set": "text_classification/thucnews10_zh"},
    "cifar10_mini": {
        "set": "image_classification/cifar10_mini",
        "task": "image-classification",
        "backbone": "smallcnn",
        "radius": 0.02,
    },
    "fsdd": {
        "set": "speech/fsdd",
        "task": "audio-classification",
        "backbone": "crnn",
        "columns": {"audio": "file_name", "label": "text"},
        "radius": 0.05,
    },
}
"""Data, and the radius of attack and training: one at which the network without a method loses much."""
METHODS = ("none", "fgm", "pgd", "ema", "r-drop", "mixup")
SIZE = 1000
"""Training examples."""


def grid() -> ModuleType:
    """Return the benchmark of the defaults, which cuts data sets."""
    place = Path(__file__).parents[1] / "defaults" / "grid.py"
    spec = importlib.util.spec_from_file_location("defaults_grid", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def attacked(module: Any, batch: Batch, radius: float) -> Tensor:
    """Return the inputs of a batch where the loss is high within a radius."""
    clean = module.backbone.embed(batch.inputs).detach()

    def norms(value: Tensor) -> Tensor:
        flat = value.flatten(1).norm(dim=1).clamp(min=1e-12)
        return flat.view(-1, *(1 for _ in value.shape[1:]))

    def gradient(at: Tensor) -> Tensor:
        at = at.detach().requires_grad_()
        (found,) = torch.autograd.grad(module.plain(batch, at).loss.total, at)
        return found

    first = gradient(clean)
    real = (first != 0).flatten(2).any(dim=2) if first.ndim > 2 else first != 0
    most = radius * norms(clean * real.view(*real.shape, *(1 for _ in clean.shape[2:])))
    moved, step = torch.zeros_like(clean), 2.5 * most / STEPS
    for _ in range(STEPS):
        found = gradient(clean + moved)
        moved = moved + found / norms(found) * step
        moved = moved * (most / norms(moved)).clamp(max=1.0)
    return clean + moved


def accuracies(run: Path, recipe: Mapping[str, Any], radius: float) -> dict[str, float]:
    """Return the share of test examples that are right, clean and under attack."""
    catalogue = load_catalogue()
    module = load_model(catalogue, run / "model")[1].eval()
    split = prepare_data(resolve_recipe(catalogue, dict(recipe)), Console(quiet=True)).splits["test"]
    right: dict[str, int] = defaultdict(int)
    total = 0
    for start in range(0, len(split), 32):
        batch = split.batch(list(range(start, min(start + 32, len(split)))), module.backbone, module.task)
        total += batch.size
        for name in ("clean", "attacked"):
            embedded = attacked(module, batch, radius) if name == "attacked" else None
            with torch.no_grad():
                found = module.plain(batch, embedded).outputs["logits"].argmax(dim=1)
            right[name] += int((found == batch.targets["label"]).sum())
    return {name: round(count / total, 4) for name, count in right.items()}


def table(rows: list[dict[str, Any]]) -> str:
    """Return means over seeds, and the difference to no method with its paired 95 % interval, in points."""
    values: dict[tuple[str, str, str], dict[int, float]] = defaultdict(dict)
    for row in rows:
        for name, value in row["accuracy"].items():
            values[row["cell"], row["method"], name][row["seed"]] = value
    lines = [
        "| data | method | figure | mean | difference (points, 95 % interval) |",
        "| --- | --- | --- | ---: | ---: |",
    ]
    for (cell, method, name), found in values.items():
        text = ""
        base = values.get((cell, "none", name), {})
        pairs = [100 * (found[seed] - base[seed]) for seed in sorted(set(found) & set(base))]
        if method != "none" and len(pairs) > 1:
            half = statistics.stdev(pairs) / len(pairs) ** 0.5 * stats.t.ppf(0.975, len(pairs) - 1)
            text = f"{statistics.mean(pairs):+.1f} ± {half:.1f}"
        lines.append(f"| {cell} | {method} | {name} | {statistics.mean(found.values()):.3f} | {text} |")
    return "\n".join(lines)


def main() -> None:
    """Run what the file lacks, or print its table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--data", type=Path, help="folder with the data sets")
    parser.add_argument("--work", type=Path, help="folder for parts of them, and for runs")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--cells", nargs="+", default=list(CELLS))
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--table", type=Path)
    arguments = parser.parse_args()
    if arguments.table:
        rows = [json.loads(line) for line in arguments.table.read_text("utf-8").splitlines()]
        sys.stdout.write(f"{table(rows)}\n")
        return
    cutting = grid()
    done = arguments.out.read_text("utf-8").splitlines() if arguments.out.exists() else []
    there = {(row["cell"], row["method"], row["seed"]) for row in map(json.loads, done)}
    for seed in arguments.seeds:
        for cell in arguments.cells:
            for method in arguments.methods:
                if (cell, method, seed) in there:
                    continue
                what = CELLS[cell]
                data = cutting.part_of(arguments.data / what["set"], arguments.work, SIZE, seed)
                section = {"path": str(data.resolve()), "columns": what.get("columns", {})}
                recipe = {"task": what["task"], "backbone": what["backbone"], "data": section, "seed": seed}
                run = arguments.work / "run"
                options = {"radius": what["radius"]} if method in ("fgm", "pgd") else {}
                methods = [] if method == "none" else [{"name": method, **options}]
                result = headstock.run({**recipe, "methods": methods}, out=run, force=True)
                row = {
                    "cell": cell,
                    "method": method,
                    "seed": seed,
                    "size": SIZE,
                    "accuracy": accuracies(run, recipe, what["radius"]),
                    "steps": result.training.steps,
                    "seconds": round(result.training.seconds, 1),
                    **cutting.place(),
                }
                shutil.rmtree(run)
                with arguments.out.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(row) + "\n")
                sys.stderr.write(f"{cell} {method} {seed} {row['accuracy']}\n")


if __name__ == "__main__":
    main()
