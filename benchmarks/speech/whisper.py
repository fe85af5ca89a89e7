"""Measures Whisper as it comes and tuned: error rates by padding, and before and after tuning.

    python benchmarks/speech/whisper.py silence --model FOLDER --data ../shared/data/speech/librispeech_mini \
        --out benchmarks/results/whisper.json 0.5 4 30
    python benchmarks/speech/whisper.py tune --model FOLDER --data ../shared/data/speech/hsk_words_zh \
        --rows train=100,valid=40,test=80 --out benchmarks/results/whisper.json adapter=lora freeze_encoder=true

``silence`` writes the test split greedily with each number of seconds of silence behind a clip, in bfloat16. ``tune``
is a ``headstock run`` with the options that follow; what is before tuning are the pretrained model's own transcripts.
Each record is added to those in the file.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import headstock
from headstock.interfaces.notes import noting
from headstock.trainer.config import TrainerConfig
from headstock.trainer.kernels.packed_linear import packed_weights
from headstock_speech.backbones.seq2seq.backbone import SpeechSeq2Seq
from headstock_speech.tasks.speech_recognition import SpeechRecognition

BATCH = 16
SPLITS = {"train": "train", "valid": "validation", "test": "test"}


def rows_of(folder: Path, split: str, most: int | None = None) -> list[dict[str, str]]:
    """Return the rows of a split, or so many of them, always the same; audio by its whole path."""
    with (folder / f"{split}.csv").open(encoding="utf-8") as lines:
        rows = [{**row, "file_name": str((folder / row["file_name"]).resolve())} for row in csv.DictReader(lines)]
    order = np.random.default_rng(0).permutation(len(rows))[:most]
    return [rows[index] for index in sorted(order)]


@torch.no_grad()
def silence(model: str, folder: Path, seconds: float, most: int | None) -> dict[str, Any]:
    """Return error rates of the untuned model on the test split."""
    rows = sorted(rows_of(folder, "test", most), key=lambda row: float(row["duration"]))
    inputs = [{"audio": row["file_name"]} for row in rows]
    backbone = SpeechSeq2Seq.create(SpeechSeq2Seq.Config(model=model, silence_seconds=seconds, max_tokens=100), inputs)
    task = SpeechRecognition(SpeechRecognition.Config())
    task.learn([task.reference(row) for row in rows])
    with noting() as said:
        task.bind(backbone)
    backbone.eval()
    began = time.process_time()
    found: list[str] = []
    packing = packed_weights(backbone.model, TrainerConfig(precision="bf16"), torch.device("cpu"))
    with torch.autocast("cpu", dtype=torch.bfloat16), packing:
        for start in range(0, len(inputs), BATCH):
            batch = backbone.collate([backbone.preprocess(each) for each in inputs[start : start + BATCH]])
            tokens = backbone.generate(backbone(batch), batch)
            found += [backbone.target_text(each[0]) for each in tokens.tolist()]
    return {
        "silence_seconds": seconds,
        "recordings": len(rows),
        "metrics": _rounded(task.score(found, [task.canonical(task.reference(row)) for row in rows])),
        "said": sorted(said),
        "cpu_seconds": round(time.process_time() - began),
    }


def tune(model: str, folder: Path, counts: Mapping[str, int], options: Sequence[str]) -> dict[str, Any]:
    """Return error rates before and after tuning."""
    with tempfile.TemporaryDirectory() as place:
        data = Path(place) / "data"
        data.mkdir()
        sizes = {}
        for split, name in SPLITS.items():
            rows = rows_of(folder, split, counts.get(split))
            sizes[name] = len(rows)
            with (data / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, ["file_name", "text"], extrasaction="ignore")
                writer.writeheader()
                writer.writerows(rows)
        began = time.process_time()
        result = headstock.run(
            "automatic-speech-recognition",
            {
                "backbone": "speech-seq2seq",
                "backbone.model": model,
                "data.path": str(data),
                "data.columns.audio": "file_name",
                **dict(option.split("=", 1) for option in options),
            },
            out=Path(place) / "run",
        )
        recipe = (Path(place) / "run" / "recipe.yaml").read_text("utf-8")
        chosen = [line.removeprefix("# ") for line in recipe.splitlines() if line.startswith("# chosen")]
        history = (Path(place) / "run" / "metrics.jsonl").read_text("utf-8").splitlines()
    return {
        "options": list(options),
        "rows": sizes,
        "chosen": chosen,
        "before": _rounded(result.before.metrics),
        "after": _rounded(result.after.metrics),
        "validation": [line for line in map(json.loads, history) if line["kind"] == "validation"],
        "remarks": [remark for remark in result.data_remarks if "/" not in remark],
        "cpu_seconds": round(time.process_time() - began),
    }


def _rounded(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in metrics.items()}


def _commit() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def main() -> None:
    """Measure what the command says."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("what", choices=("silence", "tune"))
    parser.add_argument("--model", required=True, help="folder of a whole Whisper")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", default="", help="rows of splits: train=100,valid=40,test=80")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("values", nargs="*", help="seconds of silence, or options of the run")
    arguments = parser.parse_intermixed_args()
    counts = {split: int(count) for split, count in (part.split("=") for part in arguments.rows.split(",") if part)}
    for values in [[value] for value in arguments.values] if arguments.what == "silence" else [arguments.values]:
        if arguments.what == "silence":
            record = silence(arguments.model, arguments.data, float(values[0]), counts.get("test"))
        else:
            record = tune(arguments.model, arguments.data, counts, values)
        known = json.loads(arguments.out.read_text("utf-8")) if arguments.out.exists() else []
        known.append(
            {
                "what": arguments.what,
                "model": Path(arguments.model).name,
                "data": arguments.data.name,
                **record,
                "command": " ".join(
                    ["python benchmarks/speech/whisper.py", arguments.what, f"--rows '{arguments.rows}'", *values]
                ),
                "date": datetime.date.today().isoformat(),
                "commit": _commit(),
                "machine": {
                    "processor": platform.processor() or platform.machine(),
                    "cores": os.cpu_count(),
                    "threads": torch.get_num_threads(),
                    "bf16": [name for name in ("amx_bf16", "avx512_bf16") if torch.cpu.get_capabilities().get(name)],
                },
                "versions": {name: importlib.metadata.version(name) for name in ("torch", "transformers", "jiwer")},
            }
        )
        arguments.out.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", "utf-8")
        sys.stderr.write(f"{arguments.what} {arguments.data.name} {values}: {record}\n")


if __name__ == "__main__":
    main()
