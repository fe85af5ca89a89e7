"""Finds a learning rate for each method of peft: tunes half of MiniLM on 480 questions of TREC, and climbs.

    python benchmarks/adapters/rates.py --data ../shared/data --out benchmarks/results/peft-rates.jsonl

The lower three of MiniLM's six layers take 60 steps of 8 questions, for many runs are needed; the head is a linear
layer with a rate of 1e-3 throughout. Two rates are tried, and then further ones as long as the
best lies at the edge. Each run adds a line to the file; what is there already is not run again. The best rate is the
one with the highest accuracy on 160 other questions, the lower loss where two are equal.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import importlib.metadata
import json
import math
import os
import sys
import time
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from headstock.console import Console
from headstock.engine.setup import prepare_data
from headstock.interfaces import Adapter, Backbone
from headstock.recipe.read import resolve_recipe
from headstock_adapters.bottleneck.adapter import BottleneckAdapter
from headstock_adapters.lora import Lora
from headstock_adapters.peft.adapter import METHODS, Peft
from headstock_registry import load_catalogue

RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
FIRST = (1e-3, 3e-3)
HIGHER = (1e-2, 3e-2)
WIDE = {
    "beft",
    "c3a",
    "fourierft",
    "frod",
    "ia3",
    "ln_tuning",
    "pvera",
    "road",
    "tinylora",
    "unilora",
    "vblora",
    "vera",
}
"""Methods of few numbers, for which the search begins higher."""
ROWS = {"train": 480, "valid": 160, "test": 20}
BATCH, STEPS, WARMUP, LAYERS = 8, 60, 6, 3
HEAD_RATE = 1e-3


class Data(NamedTuple):
    """Collated batches and the labels of their rows, and the untuned backbone."""

    backbone: Backbone
    train: list[tuple[dict[str, Tensor], Tensor]]
    valid: list[tuple[dict[str, Tensor], Tensor]]
    labels: int


def prepare(data: Path, folder: Path) -> Data:
    """Write some rows of each split, always the same ones, and preprocess them."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in ROWS.items():
        with (data / "text_classification" / "trec_en" / f"{split}.csv").open(encoding="utf-8", newline="") as lines:
            header, *rows = csv.reader(lines)
        chosen = [rows[index] for index in np.random.default_rng(0).permutation(len(rows))[:count]]
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as lines:
            csv.writer(lines).writerows([header, *chosen])
    recipe = {"task": "text-classification", "backbone": "minilm", "data": {"path": str(folder)}, "seed": 0}
    found = prepare_data(resolve_recipe(load_catalogue(), recipe, []), Console(quiet=True))
    names = sorted({str(each) for each in found.splits["train"].split.references})

    def batches(split: str) -> list[tuple[dict[str, Tensor], Tensor]]:
        part = found.splits[split]
        labels = [names.index(str(each)) for each in part.split.references]
        return [
            (
                found.backbone.collate([part.store[part.indices[index]] for index in range(at, at + BATCH)]),
                torch.tensor(labels[at : at + BATCH]),
            )
            for at in range(0, len(labels) - BATCH + 1, BATCH)
        ]

    body: Any = found.backbone.body
    body.encoder.layer = body.encoder.layer[:LAYERS]
    return Data(found.backbone, batches("train"), batches("validation"), len(names))


def adapter_of(name: str) -> Adapter:
    """Return an adapter with its default options, or a method of peft."""
    if name in ("adapter lora", "adapter bottleneck"):
        kind = Lora if name == "adapter lora" else BottleneckAdapter
        return kind(kind.Config())
    options = {"token_indices": list(range(1000, 6000))} if name == "trainable_tokens" else {}
    return Peft(Peft.Config(method=name, options=options))


def train(name: str, rate: float, data: Data) -> dict[str, Any]:
    """Return what came of one run."""
    began = time.perf_counter()
    backbone, adapter = deepcopy(data.backbone), adapter_of(name)
    torch.manual_seed(0)
    adapter.attach(backbone)
    head = nn.Linear(backbone.feature_dim, data.labels)
    trained = [parameter for parameter in backbone.parameters() if parameter.requires_grad]
    groups = [{"params": trained, "lr": rate}, {"params": list(head.parameters()), "lr": HEAD_RATE}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / WARMUP, max(0.0, (STEPS - step) / (STEPS - WARMUP)))
    )
    adapter.set_mode(backbone, True)
    for step in range(STEPS):
        inputs, labels = data.train[step % len(data.train)]
        optimizer.zero_grad()
        nn.functional.cross_entropy(head(backbone(inputs).pooled), labels).backward()
        nn.utils.clip_grad_norm_([*trained, *head.parameters()], 1.0)
        optimizer.step()
        schedule.step()
    adapter.set_mode(backbone, False)
    right, loss, count = 0, 0.0, 0
    with torch.no_grad():
        for inputs, labels in data.valid:
            outputs = head(backbone(inputs).pooled)
            right += int((outputs.argmax(1) == labels).sum())
            loss += float(nn.functional.cross_entropy(outputs, labels, reduction="sum"))
            count += len(labels)
    return {
        "method": name,
        "rate": rate,
        "accuracy": round(right / count, 4),
        "loss": round(loss / count, 4) if math.isfinite(loss) else None,
        "trained": sum(parameter.numel() for parameter in trained),
        "seconds": round(time.perf_counter() - began, 1),
        "date": datetime.date.today().isoformat(),
        "versions": {each: importlib.metadata.version(each) for each in ("headstock", "peft", "torch", "transformers")},
    }


def best_of(found: dict[float, dict[str, Any]]) -> float:
    """Return the best rate."""
    return max(found, key=lambda rate: (found[rate]["accuracy"], -(found[rate]["loss"] or math.inf)))


def main() -> None:
    """Run what the file lacks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--methods", nargs="+", default=[*METHODS, "adapter lora", "adapter bottleneck"])
    parser.add_argument("--work", type=Path, default=Path("runs/peft-rates"))
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    os.environ.setdefault("HEADSTOCK_CACHE", str(arguments.work / "cache"))
    data = prepare(arguments.data, arguments.work / "part")
    lines = arguments.out.read_text("utf-8").splitlines() if arguments.out.exists() else []
    for name in arguments.methods:
        found = {line["rate"]: line for line in map(json.loads, lines) if line["method"] == name}
        todo = [rate for rate in (HIGHER if name in WIDE else FIRST) if rate not in found]
        while todo:
            for rate in todo:
                found[rate] = train(name, rate, data)
                with arguments.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(found[rate]) + "\n")
                sys.stderr.write(f"{name} {rate} {found[rate]['accuracy']} {found[rate]['seconds']} s\n")
            index = RATES.index(best_of(found))
            near = (RATES[each] for each in (index - 1, index + 1) if 0 <= each < len(RATES))
            todo = [rate for rate in near if rate not in found]


if __name__ == "__main__":
    main()
