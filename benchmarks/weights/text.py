"""Compares pretrained text encoders as fixed feature extractors: accuracy with few labels, speed and size.

    python benchmarks/weights/text.py --data ../shared/data/text_classification --out FILE.json \
        use-multilingual minilm=FOLDER "e5=FOLDER:query: "

An encoder is a backbone's name, or ``NAME=FOLDER[:PREFIX]`` for a folder of transformers; ``tfidf`` counts characters
and is no encoder at all. Pooled features are made once for each set; on them scikit-learn's logistic regression, with
features standardised and its C chosen on validation rows. Results are added to those in the file.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import importlib.metadata
import json
import platform
import sys
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, StandardScaler

from headstock.recipe.components import component_class
from headstock_registry import load_catalogue

SETS = ("trec_en", "ag_news_en", "sst2_en", "thucnews10_zh", "chnsenticorp_hotel_zh")
SIZES = (200, 2000)
SEEDS = (0, 1, 2)
CS = (0.001, 0.01)
ROWS = {"train": 2000, "valid": 200, "test": 500}
BATCH = 32


def read(folder: Path, split: str) -> tuple[list[str], np.ndarray]:
    """Return texts and labels of a split, at most ``ROWS`` of them, always the same."""
    (path,) = folder.glob(f"{split}*")
    with path.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    order = np.random.default_rng(0).permutation(len(rows))[: ROWS[split]]
    return [rows[i]["text"] for i in order], np.array([rows[i]["label"] for i in order])


def encoder(name: str, folder: str, tokens: int) -> Any:
    """Return a backbone that reads so many tokens of a text, in evaluation mode."""
    catalogue = load_catalogue()
    entry = catalogue.get("backbone", "transformers-text" if folder else name)
    cls: Any = component_class(catalogue, entry)
    options = {"model": folder, "max_length": tokens} if folder else {"max_length": tokens}
    return cls.create(cls.Config(**options), iter(())).eval()


@torch.no_grad()
def features(backbone: Any, texts: list[str]) -> tuple[np.ndarray, int]:
    """Return pooled features (N, D) in the order of the texts, and how many tokens there are."""
    examples = backbone.preprocess_many([{"text": text} for text in texts])
    order = sorted(range(len(texts)), key=lambda i: backbone.cost(examples[i]))
    made = np.empty((len(texts), backbone.feature_dim), np.float32)
    for start in range(0, len(order), BATCH):
        part = order[start : start + BATCH]
        made[part] = backbone(backbone.collate([examples[i] for i in part])).pooled.numpy()
    return made, sum(map(backbone.cost, examples))


def accuracies(made: dict[str, Any], labels: dict[str, np.ndarray], sparse: bool) -> dict[str, list[float]]:
    """Return test accuracy by number of labels, one for each seed."""

    def fit(c: float, rows: np.ndarray) -> Any:
        scaler = MaxAbsScaler() if sparse else StandardScaler()
        return make_pipeline(scaler, LogisticRegression(C=c, max_iter=100)).fit(
            made["train"][rows], labels["train"][rows]
        )

    found: dict[str, list[float]] = {}
    for size in SIZES:
        picks = [np.random.default_rng(seed).permutation(len(labels["train"]))[:size] for seed in SEEDS]
        choices = tuple(10 * c for c in CS) if sparse else CS
        best = max(choices, key=lambda c: fit(c, picks[0]).score(made["valid"], labels["valid"]))
        found[str(size)] = [round(float(fit(best, pick).score(made["test"], labels["test"])), 4) for pick in picks]
    return found


def measure(text: str, data: Path, sets: Iterable[str], tokens: int) -> dict[str, Any]:
    """Return accuracies by set, and speed over all of them."""
    name, _, place = text.partition("=")
    folder, _, prefix = place.partition(":")
    backbone = None if name == "tfidf" else encoder(name, folder, tokens)
    seconds, count, read_tokens = 0.0, 0, 0
    result: dict[str, Any] = {"accuracy": {}}
    for each in sets:
        made: dict[str, Any] = {}
        labels: dict[str, np.ndarray] = {}
        counter = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True, max_features=50_000)
        for split in ROWS:
            texts, labels[split] = read(data / each, split)
            if backbone is None:
                made[split] = counter.fit_transform(texts) if split == "train" else counter.transform(texts)
                continue
            before = time.process_time()
            made[split], total = features(backbone, [prefix + text for text in texts])
            seconds, count = seconds + time.process_time() - before, count + len(texts)
            read_tokens += total
        result["accuracy"][each] = accuracies(made, labels, backbone is None)
        sys.stderr.write(f"{name} {each} {result['accuracy'][each]}\n")
    if backbone is not None:
        result |= {
            "features": backbone.feature_dim,
            "texts_per_cpu_second": round(count / seconds, 1),
            "tokens": read_tokens,
        }
    return result


def main() -> None:
    """Measure the encoders that the command names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("encoders", nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--tokens", type=int, default=64, help="tokens that an encoder reads of a text")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    known = json.loads(arguments.out.read_text("utf-8")) if arguments.out.exists() else {"encoders": {}}
    for text in arguments.encoders:
        name = f"{text.partition('=')[0]}, {arguments.tokens} tokens"
        known["encoders"][name] = measure(text, arguments.data, arguments.sets, arguments.tokens)
        known |= {
            "script": "benchmarks/weights/text.py",
            "date": datetime.date.today().isoformat(),
            "rows": ROWS,
            "processor": platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
            "versions": {each: importlib.metadata.version(each) for each in ("torch", "transformers", "scikit-learn")},
        }
        arguments.out.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
