"""Predicts and evaluates with one tuned model through Headstock and through transformers, by turns.

python benchmarks/peers/predict.py                       # five rounds on sentences of film reviews
python benchmarks/peers/predict.py --rounds 1 --limit 64 --results try.json

Both sides have the same weights: an encoder of transformers with its pooler and a linear head. Each turn is a process
of its own, which loads the model, predicts a few sentences to warm up, and then all of them against the clock. For
evaluation, the clock runs from the CSV file to the metrics. What is best on a CPU without instructions for bfloat16 is
float32.
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
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from datasets import load_dataset
from hf_common import peak_memory_mb
from reference import LIBRARIES
from sklearn.metrics import accuracy_score
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    pipeline,
)

import headstock
from headstock.engine.models.model_files import load_model
from headstock.report.environment import describe_environment
from headstock.trainer.step.precision import multiplies_bf16
from headstock_registry import load_catalogue

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
DATA = ROOT.parent / "shared" / "data"
WEIGHTS = DATA / "weights" / "all-minilm-l6-v2-fp16"
REVIEWS = DATA / "text_classification" / "sst2_en"
RESULTS = HERE.parent / "results" / "predict.json"
SIDES = ("headstock", "pipeline", "pipeline-best", "headstock-evaluate", "trainer-evaluate")
OURS = {"headstock": "headstock", "pipeline": "headstock", "pipeline-best": "headstock"}
"""Beside which turn of Headstock's a turn stands; the rest stand beside the evaluation."""
BATCH = 32
MAX_LENGTH = 128
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
        write_rows(folder, given.limit)
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
            "backbone": {
                "name": "transformers-text",
                "model": str(folder / "base"),
                "pooling": "pooler",
                "max_length": MAX_LENGTH,
            },
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


def write_rows(folder: Path, limit: int | None) -> None:
    """Write the sentences and labels of the validation and test splits as one file, ``rows.csv``."""
    with (folder / "rows.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, ["text", "label"])
        writer.writeheader()
        writer.writerows(rows(limit))


def turn(side: str, folder: Path, limit: int | None) -> dict[str, Any]:
    """Predict all sentences once; return speed and the predicted labels."""
    texts = [row["text"] for row in rows(limit)]
    work: Callable[[], list[str]]
    if side.endswith("evaluate"):
        evaluate = _headstock_evaluation(folder) if side.startswith("headstock") else _trainer_evaluation(folder)
        evaluate(WARM_UP)
        work = partial(evaluate, None)
    else:
        predict = _headstock(folder) if side == "headstock" else _pipeline(folder, best=side == "pipeline-best")
        predict(texts[:WARM_UP])
        work = partial(predict, texts)
    began = time.perf_counter()
    labels = work()
    seconds = time.perf_counter() - began
    return {
        "sentences_per_second": len(texts) / seconds,
        "peak_memory_mb": peak_memory_mb(torch.device("cpu")),
        "labels": labels,
    }


def rows(limit: int | None) -> list[dict[str, str]]:
    """Return the rows of the validation and test splits."""
    found = []
    for path in sorted(REVIEWS.glob("*.csv")):
        if path.stem != "train":
            with path.open(encoding="utf-8", newline="") as stream:
                found += list(csv.DictReader(stream))
    return found[:limit]


def _headstock(folder: Path) -> Callable[[list[str]], list[str]]:
    model = headstock.load(folder / "run")
    return lambda texts: [prediction[0]["label"] for prediction in model.predict(texts)]


def _pipeline(folder: Path, best: bool) -> Callable[[list[str]], list[str]]:
    dtype = torch.bfloat16 if multiplies_bf16() else torch.float32
    options: dict[str, Any] = {"batch_size": BATCH, "dtype": dtype} if best else {}
    classify: Any = pipeline("text-classification", model=str(folder / "model"), **options)
    return lambda texts: [found["label"] for found in classify(texts)]


def _headstock_evaluation(folder: Path) -> Callable[[int | None], list[str]]:
    model = headstock.load(folder / "run")

    def evaluate(limit: int | None) -> list[str]:
        found = model.evaluate({"path": str(folder / "rows.csv"), "limit": limit})
        print(f"accuracy {found.metrics['accuracy']:.4f}", file=sys.stderr)
        wire_forms = map(model.task.to_pipeline, found.predictions, [{}] * found.examples)
        return [prediction[0]["label"] for prediction in wire_forms]

    return evaluate


def _trainer_evaluation(folder: Path) -> Callable[[int | None], list[str]]:
    model: Any = AutoModelForSequenceClassification.from_pretrained(folder / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    numbers = model.config.label2id
    arguments = TrainingArguments(
        output_dir=str(folder / "trainer"),
        per_device_eval_batch_size=2 * BATCH,
        bf16_full_eval=multiplies_bf16(),
        use_cpu=not torch.cuda.is_available(),
        disable_tqdm=True,
        report_to="none",
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=lambda found: {"accuracy": accuracy_score(found.label_ids, found.predictions.argmax(axis=1))},
    )

    def preprocess(batch: dict[str, list[Any]]) -> dict[str, Any]:
        encoded = tokenizer(batch["text"], truncation=True, max_length=MAX_LENGTH)
        return {**encoded, "labels": [numbers[name] for name in batch["label"]]}

    def evaluate(limit: int | None) -> list[str]:
        # A cache of its own, for Headstock's evaluation reads and preprocesses anew too.
        with tempfile.TemporaryDirectory() as cache:
            files = {"test": str(folder / "rows.csv")}
            split = load_dataset("csv", data_files=files, split="test", keep_default_na=False, cache_dir=cache)
            split = split if limit is None else split.select(range(limit))
            found = trainer.predict(split.map(preprocess, batched=True, remove_columns=split.column_names))
        print(f"accuracy {found.metrics['test_accuracy']:.4f}", file=sys.stderr)
        return [model.config.id2label[number] for number in found.predictions.argmax(axis=1).tolist()]

    return evaluate


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
        "environment": describe_environment(load_catalogue(), torch.device("cpu"), seed=0),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"python {' '.join(sys.argv)}",
        "sentences": len(ours),
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
        own = speeds[OURS.get(side, "headstock-evaluate")]
        ratios = [mine / other for mine, other in zip(own, speeds[side], strict=True)]
        middle = statistics.median(own) / statistics.median(speeds[side])
        lines.append(
            f"| {side} | {statistics.median(speeds[side]):.0f} "
            f"| {middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f}) "
            f"| {max(each['peak_memory_mb'] for each in found):.0f} |"
        )
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare prediction and evaluation with those of transformers.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=int, help="sentences at most, for a quick try")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
