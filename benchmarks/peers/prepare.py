"""Prepares texts, from CSV files to cached token ids, with Headstock and with the datasets library, by turns.

python benchmarks/peers/prepare.py                                       # 10,000, 100,000 and a million rows
python benchmarks/peers/prepare.py --rows 1000 --rounds 1 --cell-megabytes --results try.json    # a quick try

The peer is ``load_dataset("csv")`` and ``map(tokenize, batched=True, num_proc=2)``. Both sides have the same tokenizer;
it is loaded, and libraries are imported, before the clock starts, and each turn is a process with an empty cache. The
texts are made up: words of a fixed list, the frequent ones often, as many as news have. ``--cell-megabytes`` adds files
with one text of that size.
"""

from __future__ import annotations

import argparse
import csv
import gc
import importlib
import itertools
import json
import os
import random
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from compare import RESULTS, ROOT, now, say

MODEL = ROOT.parent / "shared" / "data" / "weights" / "all-minilm-l6-v2-fp16"
SIDES = ("headstock", "datasets")
LABELS = ("World", "Sports", "Business", "Sci/Tech")
SPLITS = ("train", "validation", "test")
ROWS_BESIDE = 100
"""Rows of the validation and test splits."""
MAX_LENGTH = 128
WORDS_OF_A_TEXT = 38
PROCESSES = 2
STATUS = Path("/proc/self/status")
SAMPLING_SECONDS = 0.02
COMMON = """
the of to in a and for on that is with at by from as has it was said will new his after an be its are have but not
he over than more up who year company first two one out about their they government world people against could
president market week oil prices team game season win play coach league minister officials country police war
software internet computer security technology service users online phone space science research shares profit
quarter sales growth stocks investors bank deal billion million percent report chief executive election vote court
trial law state city north south east west home night day time last next final second round cup champion record
"""


class Point(NamedTuple):
    """One data set.

    Attributes:
        rows: Training texts.
        cell_megabytes: Size of the one long text, or 0.
    """

    rows: int
    cell_megabytes: int


def main() -> None:
    """Measure, write the records and print the ratios, or be one turn."""
    given = _arguments()
    if given.side:
        print(json.dumps(turn(given.side, given.folder, given.model)))
        return
    points = [Point(rows, 0) for rows in given.rows] + [Point(len(LABELS), size) for size in given.cell_megabytes]
    record: dict[str, Any] = {"date": now(), "command": shlex.join(["python", *sys.argv]), "points": []}
    for point in points:
        turns: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
        with tempfile.TemporaryDirectory() as name:
            size = write_data(Path(name), point)
            for number in range(given.rounds):
                for side in SIDES:
                    say(f"{point.rows} rows, {size / 1e6:.1f} MB, round {number + 1}: {side}")
                    turns[side].append(_process(side, Path(name), given.model))
        if len({each.pop("tokens") for found in turns.values() for each in found}) != 1:
            raise SystemExit("the two sides found different numbers of tokens")
        record["points"].append({**point._asdict(), "bytes": size, "sides": turns})
    record["environment"] = _environment()
    given.results.parent.mkdir(parents=True, exist_ok=True)
    given.results.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    print(table(record))


def write_data(folder: Path, point: Point) -> int:
    """Write the three splits as CSV files; return how many bytes they have."""
    source = random.Random(0)
    words = COMMON.split() + [_name(source) for _ in range(4000)]
    weights = list(itertools.accumulate(1 / (rank + 8) for rank in range(len(words))))
    for split in SPLITS:
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["text", "label"])
            for row in range(point.rows if split == "train" else ROWS_BESIDE):
                # The row is in the text, so that there are no duplicates.
                long = point.cell_megabytes * 10**6 if split == "train" and not row else 0
                writer.writerow([f"{split} {row}: {_text(source, words, weights, long)}", LABELS[row % len(LABELS)]])
    return sum((folder / f"{split}.csv").stat().st_size for split in SPLITS)


def _name(source: random.Random) -> str:
    syllables = (
        "an",
        "ber",
        "co",
        "den",
        "el",
        "fran",
        "gor",
        "hil",
        "in",
        "jo",
        "kel",
        "lin",
        "mar",
        "ner",
        "os",
        "ton",
    )
    return "".join(source.choices(syllables, k=source.randint(2, 3))).capitalize()


def _text(source: random.Random, words: list[str], weights: list[float], size: int) -> str:
    count = size // 6 or max(5, round(source.gauss(WORDS_OF_A_TEXT, 10)))
    return " ".join(source.choices(words, cum_weights=weights, k=count))[: size or None] + "."


def turn(side: str, folder: Path, model: str) -> dict[str, Any]:
    """Prepare the data once; return seconds, memory and the number of tokens."""
    prepare = _headstock(folder, model) if side == SIDES[0] else _datasets(folder, model)
    gc.collect()
    memory = Memory()
    before, began = _cpu_seconds(), time.perf_counter()
    tokens = prepare()
    seconds, cpu = time.perf_counter() - began, _cpu_seconds() - before
    return {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "tokens": tokens(),
        **memory.growth(),
        "children_peak_bytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
    }


class Memory:
    """How much this process's memory has grown at most since this was made.

    What is mapped from files counts in one figure and not in the other: the system takes it back when it needs it.
    """

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
        self._resident, self._own = _status("VmRSS"), _status("RssAnon")
        self._most_own = self._own
        self._done = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()

    def growth(self) -> dict[str, int]:
        """Stop, and return the growth in bytes."""
        peak = _status("VmHWM")
        self._done.set()
        self._sampler.join()
        return {"peak_growth_bytes": peak - self._resident, "own_growth_bytes": self._most_own - self._own}

    def _sample(self) -> None:
        while not self._done.wait(SAMPLING_SECONDS):
            self._most_own = max(self._most_own, _status("RssAnon"))


def _status(name: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def _cpu_seconds() -> float:
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


Prepare = Callable[[], Callable[[], int]]
"""Prepares the data; what it returns counts the training tokens, after the clock has stopped."""


def _headstock(folder: Path, model: str) -> Prepare:
    from headstock.console import Console
    from headstock.data import load_splits
    from headstock.preprocessing.prepare import prepare_split
    from headstock.preprocessing.surveying import Surveyor
    from headstock.recipe.read import resolve_recipe
    from headstock_registry import load_catalogue

    backbone = {"name": "transformers-text", "model": model, "max_length": MAX_LENGTH}
    content = {"task": "text-classification", "backbone": backbone, "data": {"path": str(folder)}}
    resolved = resolve_recipe(load_catalogue(), content)
    encoder = resolved.backbone.cls.create(resolved.backbone.config, [])
    console = Console(quiet=True)
    importlib.import_module("pyarrow")  # the peer's library does that, too

    def prepare() -> Callable[[], int]:
        task, policy = resolved.task.cls(resolved.task.config), resolved.data.on_bad_example
        surveyor = Surveyor(task, policy)
        tables = load_splits(resolved.data, task.columns, task.sample, task, surveyor.survey)
        read = {name: surveyor.read(name, table) for name, table in tables.items()}
        task.learn(read["train"].references)
        task.bind(encoder)
        splits = {name: prepare_split(split, encoder, task, policy, console) for name, split in read.items()}
        return lambda: int(splits["train"].costs.sum())

    return prepare


def _datasets(folder: Path, model: str) -> Prepare:
    import datasets
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    datasets.disable_progress_bars()

    def prepare() -> Callable[[], int]:
        files = {split: str(folder / f"{split}.csv") for split in SPLITS}
        raw = datasets.load_dataset("csv", data_files=files, keep_default_na=False)
        numbers = {name: number for number, name in enumerate(sorted(raw["train"].unique("label")))}

        def tokenize(rows: dict[str, list[str]]) -> dict[str, Any]:
            encoded = tokenizer(rows["text"], truncation=True, max_length=MAX_LENGTH)
            return {**encoded, "labels": [numbers[name] for name in rows["label"]]}

        columns = raw["train"].column_names
        mapped = {
            # Two processes for a hundred rows would take longer than one.
            name: split.map(
                tokenize, batched=True, remove_columns=columns, num_proc=PROCESSES if len(split) > ROWS_BESIDE else None
            )
            for name, split in raw.items()
        }
        lengths = mapped["train"].with_format("arrow")
        return lambda: sum(int(ids.value_lengths().sum()) for ids in lengths.data.column("input_ids").chunks)

    return prepare


def _process(side: str, folder: Path, model: str) -> dict[str, Any]:
    command = [sys.executable, str(Path(__file__).relative_to(ROOT)), "--side", side, "--folder", str(folder)]
    with tempfile.TemporaryDirectory() as cache:
        place = {**os.environ, "HEADSTOCK_CACHE": cache, "HF_DATASETS_CACHE": cache}
        done = subprocess.run(
            [*command, "--model", model], cwd=ROOT, env=place, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _environment() -> dict[str, Any]:
    import torch

    from headstock.report.environment import describe_environment
    from headstock_registry import load_catalogue

    place = describe_environment(load_catalogue(), torch.device("cpu"), seed=0)
    return {name: value for name, value in place.items() if name != "seed"}


def table(record: dict[str, Any]) -> str:
    """Return a Markdown table: wall time and CPU time beside the peer's, and memory."""
    lines = [
        "| training rows | MB | Headstock, s | datasets, s | wall, ratio (least to most) | CPU, ratio (least to most) "
        "| own memory, bytes a row | with mapped files, bytes a row | datasets, the same |",
        "| ---: | ---: | ---: | ---: | --- | --- | ---: | ---: | ---: |",
    ]
    return "\n".join([*lines, *(f"| {' | '.join(_cells(point))} |" for point in record["points"])])


def _cells(point: dict[str, Any]) -> Iterator[str]:
    mine, other = (point["sides"][side] for side in SIDES)
    yield from (f"{point['rows']:,}", f"{point['bytes'] / 1e6:.1f}")
    yield from (f"{statistics.median(each['seconds'] for each in side):.2f}" for side in (mine, other))
    for name in ("seconds", "cpu_seconds"):
        ratios = [a[name] / b[name] for a, b in zip(mine, other, strict=True)]
        middle = statistics.median(each[name] for each in mine) / statistics.median(each[name] for each in other)
        yield f"{middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    for side, name in ((mine, "own_growth_bytes"), (mine, "peak_growth_bytes"), (other, "peak_growth_bytes")):
        yield f"{statistics.median(each[name] for each in side) / point['rows']:,.0f}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare the preparation of texts with that of datasets.")
    parser.add_argument("--rows", nargs="*", type=int, default=[10_000, 100_000, 1_000_000], help="training texts")
    parser.add_argument("--cell-megabytes", nargs="*", type=int, default=[1, 4, 16], help="size of one long text")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default=str(MODEL), help="folder of the model whose tokenizer is used")
    parser.add_argument("--results", type=Path, default=RESULTS.with_name("prepare.json"))
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
