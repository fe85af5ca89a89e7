"""Trains with the defaults and with a grid of settings around them, on parts of real data, and keeps what came out.

    python benchmarks/defaults/grid.py --data ../shared/data --cells trec-use-full --sizes 100 500 \
        --grid learning_rate=1e-4,5e-4 epochs=10,20 --out FILE.jsonl

A cell is a data set with a backbone and an adapter (``cells.yaml``). The seed chooses the training rows; there are a
fifth as many validation rows, and at least 40. The test split is at most 500 rows, always the same. Each run adds a
line to the file; what is there already is not run again. Without ``--grid`` the defaults are run. ``table.py`` reads
the file.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import importlib.metadata
import itertools
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

import headstock

CELLS = Path(__file__).with_name("cells.yaml")
TEST_ROWS = 500
LEAST_VALIDATION = 40
SETTINGS = ("learning_rate", "head_learning_rate", "epochs", "batch_size", "patience")
"""What is kept of the recipe that was run."""


def source_of(folder: Path, split: str) -> Path:
    """Return the file or folder that holds a split."""
    files = [path for path in folder.glob(f"{split}.*") if path.suffix in (".csv", ".conll")]
    return files[0] if files else folder / split


def write_part(source: Path, folder: Path, split: str, size: int, seed: int) -> None:
    """Write so many rows of a split in a shuffled order; all of them if there are fewer."""

    def some(rows: Sequence[Any]) -> list[Any]:
        return [rows[index] for index in np.random.default_rng(seed).permutation(len(rows))[:size]]

    if source.is_dir():
        for path in some(sorted(source.glob("*/*"))):
            target = folder / split / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    elif source.suffix == ".conll":
        sentences = [part for part in source.read_text("utf-8").split("\n\n") if part.strip()]
        (folder / f"{split}.conll").write_text("\n\n".join(some(sentences)) + "\n", "utf-8")
    else:
        with source.open(encoding="utf-8", newline="") as lines:
            header, *rows = csv.reader(lines)
        chosen = some(rows)
        if "file_name" in header:  # paths are relative to the file that names them
            place = header.index("file_name")
            chosen = [[*row[:place], str((source.parent / row[place]).resolve()), *row[place + 1 :]] for row in chosen]
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as lines:
            csv.writer(lines).writerows([header, *chosen])


def part_of(data: Path, work: Path, size: int, seed: int) -> Path:
    """Return a folder with so many training rows of a data set, made at the first call."""
    folder = work / f"{data.name}-{size}-{seed}"
    if not folder.exists():
        beside = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        rows = {"train": size, "valid": max(LEAST_VALIDATION, size // 5), "test": TEST_ROWS}
        for split, count in rows.items():
            write_part(source_of(data, split), beside, split, count, 0 if split == "test" else seed)
        beside.rename(folder)
    return folder


def train(cell: Mapping[str, Any], data: Path, options: Mapping[str, Any], seed: int, out: Path) -> dict[str, Any]:
    """Return what came of one run."""
    recipe = {key: cell[key] for key in ("task", "backbone", "adapter") if key in cell}
    recipe |= {"data": {"path": str(data), **cell.get("data", {})}, "seed": seed}
    settings = {name if "." in name else f"trainer.{name}": value for name, value in options.items()}
    began = time.perf_counter()
    result = headstock.run(recipe, settings, out=out, force=True)
    seconds = time.perf_counter() - began
    chosen = yaml.safe_load((out / "recipe.yaml").read_text("utf-8"))["trainer"]
    shutil.rmtree(out)
    return {
        "metric": cell["metric"],
        "value": round(result.after.metrics[cell["metric"]] or 0.0, 4),
        "steps": result.training.steps,
        "seconds": round(seconds, 1),
        "settings": {name: chosen[name] for name in SETTINGS},
    }


def points(grid: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the settings of each point of the grid; one point without settings if there is none."""
    axes = [
        (name, [yaml.safe_load(value) for value in values.split(",")])
        for name, _, values in (axis.partition("=") for axis in grid)
    ]
    for values in itertools.product(*(values for _, values in axes)):
        found = dict(zip((name for name, _ in axes), values, strict=True))
        yield {name: float(value) if "rate" in name and value is not None else value for name, value in found.items()}


def place() -> dict[str, Any]:
    """Return where and with what this ran."""
    return {
        "date": datetime.date.today().isoformat(),
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "versions": {name: importlib.metadata.version(name) for name in ("headstock", "torch", "transformers")},
    }


def main() -> None:
    """Run what the command names and the file lacks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--cells", nargs="+", required=True)
    parser.add_argument("--sizes", nargs="+", type=int, default=[100, 500, 2000])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--grid",
        nargs="*",
        default=[],
        metavar="SETTING=VALUE,VALUE",
        help="of the trainer, or with its section: task.dropout=0.1,0.3",
    )
    parser.add_argument("--work", type=Path, default=Path("runs/defaults"), help="where parts of the data are kept")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    os.environ.setdefault("HEADSTOCK_CACHE", str(arguments.work / "cache"))
    text = CELLS.read_text("utf-8").replace("{data}", str(arguments.data.resolve()))
    cells = yaml.safe_load(text)
    known = {
        (line["cell"], line["size"], line["seed"], json.dumps(line["point"], sort_keys=True))
        for line in map(json.loads, arguments.out.read_text("utf-8").splitlines() if arguments.out.exists() else [])
    }
    for name, size, seed in itertools.product(arguments.cells, arguments.sizes, arguments.seeds):
        data = part_of(arguments.data / cells[name]["set"], arguments.work, size, seed)
        for options in points(arguments.grid):
            point = options or "default"
            if (name, size, seed, json.dumps(point, sort_keys=True)) in known:
                continue
            found = train(cells[name], data, options, seed, arguments.work / f"run-{os.getpid()}")
            line = {"cell": name, "size": size, "seed": seed, "point": point, **found, **place()}
            with arguments.out.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(line) + "\n")
            sys.stderr.write(f"{name} {size} {seed} {point} {found['value']} {found['seconds']} s\n")


if __name__ == "__main__":
    main()
