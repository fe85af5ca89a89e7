"""How training time grows with the data's size, the length of texts and the number of labels, on both sides.

python benchmarks/peers/growth.py                # three rounds, bf16; about 20 minutes on 2 cores
python benchmarks/peers/growth.py --rounds 1 --base 64 --results try.json  # a quick try

The texts are made up: words drawn from a fixed list, their number around a mean as in real sentences, a label that one
of the words tells. The model is that of ``recipes/text_classification.yaml``, trained for one epoch.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from compare import HERE, RESULTS, now, run_headstock, run_reference, say, turns

TASK = "text_classification"
SIDES = ("headstock", "trainer-best")
BASE_ROWS = 128
BASE_WORDS = 16
BASE_LABELS = 4
ROWS_BESIDE = 32
"""Rows of the validation and test splits."""

WORDS = tuple(
    f"{first}{second}"
    for first in ("ba", "du", "ki", "lo", "ne", "ra", "su", "ti")
    for second in ("", "na", "ro", "mi")
)


class Point(NamedTuple):
    """One data set.

    Attributes:
        axis: What grows: ``examples``, ``words`` or ``labels``.
        rows: Training examples.
        words: Mean number of words in a text.
        labels: Number of labels.
    """

    axis: str
    rows: int
    words: int
    labels: int

    @property
    def size(self) -> int:
        """Return the number that grows."""
        return {"examples": self.rows, "words": self.words, "labels": self.labels}[self.axis]


def points(base: int) -> Iterator[Point]:
    """Yield the data sets of all three axes."""
    for times in (1, 4, 16):
        yield Point("examples", base * times, BASE_WORDS, BASE_LABELS)
    for times in (1, 4, 16):
        yield Point("words", base, BASE_WORDS * times, BASE_LABELS)
    for times in (1, 16, 64):
        yield Point("labels", base, BASE_WORDS, BASE_LABELS * times)


def main() -> None:
    """Measure, write the records, print a table."""
    parser = argparse.ArgumentParser(description="Measure how training time grows.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--base", type=int, default=BASE_ROWS, help="training examples of the smallest data set")
    parser.add_argument("--results", type=Path, default=RESULTS.with_name("growth.json"))
    given = parser.parse_args()
    record: dict[str, Any] = {"date": now(), "command": "python benchmarks/peers/growth.py", "points": []}
    with tempfile.TemporaryDirectory() as name:
        for number, point in enumerate(points(given.base)):
            recipe = _write(Path(name) / str(number), point)
            seconds: dict[str, list[float]] = {side: [] for side in SIDES}
            for seed in range(given.rounds):
                environment: dict[str, Any] = {}
                for turn in turns(TASK, recipe, "bf16", 1, None, seed, ["best"]):
                    say(f"{point.axis} {point.size}, round {seed + 1}: {turn.side}")
                    if turn.side == SIDES[0]:
                        figures, environment = run_headstock(turn.command, 1)
                    else:
                        figures = run_reference(turn.command, environment)
                    seconds[turn.side].append(point.rows / figures["examples_per_second"])
            record["environment"] = environment
            record["points"].append({**point._asdict(), "size": point.size, "seconds": seconds})
    given.results.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    print(table(record))


def table(record: dict[str, Any]) -> str:
    """Return a Markdown table: seconds of an epoch on both sides, and their ratio."""
    lines = [
        "| what grows | to | Headstock, s | Trainer, best flags, s | ratio (least to most) |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for point in record["points"]:
        mine, other = (point["seconds"][side] for side in SIDES)
        ratios = [theirs / own for own, theirs in zip(mine, other, strict=True)]
        middle = [statistics.median(mine), statistics.median(other)]
        lines.append(
            f"| {point['axis']} | {point['size']} | {middle[0]:.1f} | {middle[1]:.1f} "
            f"| {middle[1] / middle[0]:.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |"
        )
    return "\n".join(lines)


def _write(folder: Path, point: Point) -> Path:
    """Write a data set and the recipe for it; return the recipe's path."""
    folder.mkdir()
    rng = random.Random(0)
    for split, rows in (("train", point.rows), ("valid", ROWS_BESIDE), ("test", ROWS_BESIDE)):
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["text", "label"])
            # every label is in the training split, however many there are
            writer.writerows(_row(rng, point, number) for number in range(rows))
    recipe = yaml.safe_load((HERE / "recipes" / f"{TASK}.yaml").read_text("utf-8"))
    recipe["data"]["path"] = str(folder)
    recipe["backbone"]["max_length"] = 512
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe), "utf-8")
    return path


def _row(rng: random.Random, point: Point, number: int) -> tuple[str, str]:
    label = number % point.labels
    count = max(2, round(rng.lognormvariate(0, 0.5) * point.words))
    words = rng.choices(WORDS, k=count - 1)
    words.insert(rng.randrange(count), f"n{label}")
    return " ".join(words), f"label{label}"


if __name__ == "__main__":
    main()
