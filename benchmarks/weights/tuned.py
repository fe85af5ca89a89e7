"""Tunes a backbone on one data set and adds what it reaches to a file of results.

    python benchmarks/weights/tuned.py --data ../shared/data --out FILE.json [--test] [--seed N] \\
        [--folder NAME=FOLDER] SET [KEY=VALUE…]

Options are those of ``headstock run``; ``{NAME}`` in them is a folder that ``--folder`` names. Without ``--test`` the
test split is never read: the validation split stands in for it, and the figure is that of the validation which chose
the weights.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import yaml

import headstock

SETS = {
    "weibo_zh": ("token-classification", "ner/weibo_zh", "conll"),
    "thucnews10_zh": ("text-classification", "text_classification/thucnews10_zh", "csv"),
    "chnsenticorp_hotel_zh": ("text-classification", "text_classification/chnsenticorp_hotel_zh", "csv"),
}
PACKAGES = ("headstock", "torch", "transformers", "peft", "tokenizers", "seqeval", "scikit-learn")
DECIMALS = 4


def overrides(
    name: str, data: Path, test: bool, given: list[str], folders: dict[str, str]
) -> tuple[str, dict[str, Any]]:
    """Return the task of a set, and the options of its run."""
    task, folder, ending = SETS[name]
    parts = {"train": "train", "validation": "valid", "test": "test" if test else "valid"}
    options: dict[str, Any] = {
        f"data.{split}": str(data / folder / f"{part}.{ending}") for split, part in parts.items()
    }
    for text in given:
        key, _, value = text.partition("=")
        options[key] = yaml.safe_load(value.format_map(folders))
    return task, options


def measure(name: str, data: Path, test: bool, seed: int, given: list[str], folders: dict[str, str]) -> dict[str, Any]:
    """Run once and return the figures."""
    task, options = overrides(name, data, test, given, folders)
    with tempfile.TemporaryDirectory() as folder:
        result = headstock.run(task, options | {"seed": seed}, out=Path(folder) / "run")
        environment = json.loads((result.path / "environment.json").read_text("utf-8"))
    training = result.training
    return {
        "set": name,
        "options": given,
        "seed": seed,
        "metric": training.best_metric,
        "validation": _rounded(training.best_value),
        "test": {key: _rounded(value) for key, value in result.after.metrics.items()} if test else None,
        "steps": training.steps,
        "best_step": training.best_step,
        "trained_parameters": result.trainable_parameters,
        "seconds": round(training.seconds),
        "date": datetime.date.today().isoformat(),
        "commit": environment["commit"],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DECIMALS)


def main() -> None:
    """Measure what the command names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("set", choices=sorted(SETS))
    parser.add_argument("options", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--test", action="store_true", help="also read the test split; once, when all is chosen")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", action="append", default=[], metavar="NAME=FOLDER")
    arguments = parser.parse_intermixed_args()
    folders = dict(text.split("=", 1) for text in arguments.folder)
    cell = measure(arguments.set, arguments.data, arguments.test, arguments.seed, arguments.options, folders)
    known = json.loads(arguments.out.read_text("utf-8")) if arguments.out.exists() else {"cells": []}
    known |= {
        "script": "benchmarks/weights/tuned.py",
        "command": "python benchmarks/weights/tuned.py --data ../shared/data --out FILE.json [--test] SET OPTIONS",
        "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "versions": {each: importlib.metadata.version(each) for each in PACKAGES},
    }
    known["cells"] = [*known["cells"], cell]
    arguments.out.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", "utf-8")
    sys.stdout.write(json.dumps(cell, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
