"""Predicts with one tuned model through Headstock and through a pipeline of transformers, by turns.

python benchmarks/peers/predict.py                       # five rounds on sentences of film reviews
python benchmarks/peers/predict.py --rounds 1 --limit 64 --results try.json

Both sides have the same weights: an encoder of transformers with its pooler and a linear head. Each turn is a process
of its own, which loads the model, predicts a few sentences to warm up, and then all of them against the clock.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from hf_common import LIBRARIES, peak_memory_mb
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

import headstock
from headstock.engine.saved import load_model
from headstock_registry import load_catalogue

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
DATA = ROOT.parent / "shared" / "data"
WEIGHTS = DATA / "weights" / "all-minilm-l6-v2-fp16"
REVIEWS = DATA / "text_classification" / "sst2_en"
RESULTS = HERE.parent / "results" / "predict.json"
SIDES = ("headstock", "pipeline", "pipeline-best")
BATCH = 32
WARM_UP = 64


def main() -> None:
    """Measure and print a table, or be one turn."""
    given = _arguments()
    if given.side:
        print(json.dumps(turn(given.side, given.folder, given.limit)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_model(folder)
        turns: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
        for number in range(given.rounds):
            for side in SIDES:
                print(f"round {number + 1}: {side}", file=sys.stderr, flush=True)
                turns[side].append(_process(side, folder, given.limit))
    record = _record(turns)
    given.results.parent.mkdir(parents=True, exist_ok=True)
    given.results.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    print(_table(turns))


def make_model(folder: Path) -> None:
    """Write one model in both forms: ``run``, a finished run of Headstock, and ``model`` for transformers."""
    torch.manual_seed(0)
    theirs: Any = AutoModelForSequenceClassification.from_pretrained(WEIGHTS, num_labels=2, dtype="float32")
    for place in (folder / "base", folder / "model"):
        theirs.save_pretrained(place)
        AutoTokenizer.from_pretrained(WEIGHTS).save_pretrained(place)
    headstock.run(
        {
            "task": {"name": "text-classification", "dropout": 0.1},
            "backbone": {"name": "transformers-text", "model": str(folder / "base"), "pooling": "pooler"},
            "adapter": "linear-probe",
            "data": {"path": str(REVIEWS), "limit": 64},
            "trainer": {"max_steps": 1},
        },
        out=folder / "run",
    )
    _, module = load_model(load_catalogue(), folder / "run" / "model")
    theirs.classifier.load_state_dict({"weight": module.head[1].weight, "bias": module.head[1].bias})  # type: ignore[index]
    theirs.config.id2label = dict(enumerate(module.task.labels.names))  # type: ignore[attr-defined]
    theirs.config.label2id = {name: number for number, name in theirs.config.id2label.items()}
    theirs.save_pretrained(folder / "model")


def turn(side: str, folder: Path, limit: int | None) -> dict[str, Any]:
    """Predict all sentences once; return speed and the predicted labels."""
    predict = _headstock(folder) if side == "headstock" else _pipeline(folder, best=side == "pipeline-best")
    texts = sentences(limit)
    predict(texts[:WARM_UP])
    began = time.perf_counter()
    labels = predict(texts)
    seconds = time.perf_counter() - began
    return {
        "sentences_per_second": len(texts) / seconds,
        "peak_memory_mb": peak_memory_mb(torch.device("cpu")),
        "labels": labels,
    }


def sentences(limit: int | None) -> list[str]:
    """Return the sentences of the validation and test splits."""
    found = []
    for path in sorted(REVIEWS.glob("*.csv")):
        if path.stem != "train":
            with path.open(encoding="utf-8", newline="") as stream:
                found += [row["text"] for row in csv.DictReader(stream)]
    return found[:limit]


def _headstock(folder: Path) -> Callable[[list[str]], list[str]]:
    model = headstock.load(folder / "run")
    return lambda texts: [prediction[0]["label"] for prediction in model.predict(texts)]


def _pipeline(folder: Path, best: bool) -> Callable[[list[str]], list[str]]:
    options: dict[str, Any] = {"batch_size": BATCH, "dtype": torch.bfloat16} if best else {}
    classify: Any = pipeline("text-classification", model=str(folder / "model"), **options)
    return lambda texts: [found["label"] for found in classify(texts)]


def _process(side: str, folder: Path, limit: int | None) -> dict[str, Any]:
    command = [sys.executable, str(Path(__file__).relative_to(ROOT)), "--side", side, "--folder", str(folder)]
    command += [] if limit is None else ["--limit", str(limit)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _record(turns: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    ours = turns["headstock"][0]["labels"]
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"python {' '.join(sys.argv)}",
        "sentences": len(ours),
        "threads": torch.get_num_threads(),
        "versions": {name: metadata.version(name) for name in LIBRARIES},
        "sides": {
            side: {
                "sentences_per_second": [each["sentences_per_second"] for each in found],
                "peak_memory_mb": [each["peak_memory_mb"] for each in found],
                "same_labels": sum(a == b for a, b in zip(found[0]["labels"], ours, strict=True)) / len(ours),
            }
            for side, found in turns.items()
        },
    }


def _table(turns: dict[str, list[dict[str, Any]]]) -> str:
    lines = [
        "| side | sentences/s (median) | Headstock's by it (least to most) | peak MiB |",
        "| --- | --- | --- | --- |",
    ]
    speeds = {side: [each["sentences_per_second"] for each in found] for side, found in turns.items()}
    for side, found in turns.items():
        ratios = [mine / other for mine, other in zip(speeds["headstock"], speeds[side], strict=True)]
        middle = statistics.median(speeds["headstock"]) / statistics.median(speeds[side])
        lines.append(
            f"| {side} | {statistics.median(speeds[side]):.0f} "
            f"| {middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f}) "
            f"| {max(each['peak_memory_mb'] for each in found):.0f} |"
        )
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare prediction with pipelines of transformers.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=int, help="sentences at most, for a quick try")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
