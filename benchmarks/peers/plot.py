"""Draws what was measured beside the others: ratios with their spread, and how time grows.

python benchmarks/peers/plot.py          # benchmarks/results/peers.png and peers.svg
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import records
from compare import RESULTS
from matplotlib.axes import Axes

LABELS = {
    "text_reviews": "text, reviews",
    "text_classification": "text, questions",
    "text_lora": "text, LoRA",
    "text_probe": "text, linear probe",
    "text_probe_again": "text, probe again",
    "text_tiny": "text, a tiny model",
    "token_classification": "tokens",
    "image_classification": "images",
    "speech_recognition": "speech",
    "object_detection": "detection",
    "prediction": "prediction",
}
SIDES = {
    "trainer-best": ("Trainer or pipeline, best flags", "#1f5fa8"),
    "lightning": ("Lightning, best flags", "#7a4fa3"),
    "trainer-defaults": ("Trainer or pipeline, defaults", "#9aa5b1"),
    "torchvision": ("torchvision's loop", "#2e8b57"),
}
PIPELINES = {"pipeline": "trainer-defaults", "pipeline-best": "trainer-best"}
AXES = {"examples": "training examples", "words": "mean words in a text", "labels": "labels"}


def main() -> None:
    """Write both pictures."""
    found = ratios(records.read(RESULTS))
    prediction = RESULTS.with_name("predict.json")
    if prediction.exists():
        found += predictions(json.loads(prediction.read_text("utf-8")))
    growth = RESULTS.with_name("growth.json")
    figure, axes = plt.subplots(1, 4, figsize=(15, 5.2), width_ratios=[2.4, 1, 1, 1], layout="constrained")
    bars(axes[0], found)
    if growth.exists():
        lines(axes[1:], json.loads(growth.read_text("utf-8")))
    figure.legend(loc="outside lower left", ncols=len(SIDES) + 1, fontsize=8)
    for ending in ("png", "svg"):
        figure.savefig(
            RESULTS.with_name(f"peers.{ending}"), dpi=120, metadata={"Date": None} if ending == "svg" else {}
        )


def ratios(found: Sequence[records.Record]) -> list[tuple[str, str, list[float]]]:
    """Return task, other side and ratios of speeds, of the newest comparison of each task and side.

    The first ratio is that of the medians, the others those of the pairs.
    """
    newest: dict[tuple[str, str], tuple[str, str]] = {}
    for record in found:
        if record["side"] != records.OURS:
            newest[record["task"], record["side"]] = (record["comparison"], record["precision"])
    result = []
    for (task, side), (comparison, precision) in newest.items():
        here = [each for each in found if (each["comparison"], each["precision"]) == (comparison, precision)]
        here = [each for each in here if each["task"] == task]
        mine = {each["seed"]: each["examples_per_second"] for each in here if each["side"] == records.OURS}
        other = {each["seed"]: each["examples_per_second"] for each in here if each["side"] == side}
        seeds = sorted(mine.keys() & other.keys())
        result.append((task, side, compared([mine[seed] for seed in seeds], [other[seed] for seed in seeds])))
    return result


def predictions(record: dict[str, Any]) -> list[tuple[str, str, list[float]]]:
    """Return the same for prediction."""
    speeds = {side: values["sentences_per_second"] for side, values in record["sides"].items()}
    return [("prediction", name, compared(speeds[records.OURS], speeds[side])) for side, name in PIPELINES.items()]


def compared(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return the ratio of the medians, then that of each pair."""
    pairs = [a / b for a, b in zip(ours, theirs, strict=True)]
    return [statistics.median(ours) / statistics.median(theirs), *pairs]


def bars(axes: Axes, found: Sequence[tuple[str, str, list[float]]]) -> None:
    """Draw a bar for each ratio, with a line from the least to the greatest pair."""
    tasks = [task for task in LABELS if any(task == each[0] for each in found)]
    height = 0.8 / len(SIDES)
    for place, (side, (label, colour)) in enumerate(SIDES.items()):
        shown = False
        for row, task in enumerate(tasks):
            for values in (each[2] for each in found if each[:2] == (task, side)):
                middle, *pairs = values
                y = row + (place - (len(SIDES) - 1) / 2) * height
                axes.barh(y, middle, height, color=colour, label=None if shown else label)
                axes.plot([min(pairs), max(pairs)], [y, y], color="black", linewidth=1)
                axes.annotate(
                    f"{middle:.2f}", (max(values), y), (4, 0), textcoords="offset points", va="center", size=7
                )
                shown = True
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    ticks = [0.5, 1, 2, 4, 8, 16, 32, 64]
    axes.set_xticks(ticks, [f"{tick:g}×" for tick in ticks])
    axes.set_yticks(range(len(tasks)), [LABELS[task] for task in tasks])
    axes.invert_yaxis()
    axes.set_title("Headstock's speed by the other's (of medians; line: least to most)", size=10)
    axes.set_xlim(0.5, max(16, 1.6 * max(max(each[2]) for each in found)))


def lines(axes: Sequence[Axes], record: dict[str, Any]) -> None:
    """Draw the seconds of an epoch over what grows."""
    for place, (axis, label) in zip(axes, AXES.items(), strict=True):
        here = [point for point in record["points"] if point["axis"] == axis]
        for side, name in ((records.OURS, "Headstock"), ("trainer-best", "Trainer, best flags")):
            colour = "#c8501e" if side == records.OURS else SIDES[side][1]
            middle = [statistics.median(point["seconds"][side]) for point in here]
            shown = name if side == records.OURS and axis == "examples" else None
            place.plot([point["size"] for point in here], middle, "o-", color=colour, label=shown)
        place.set_xscale("log", base=2)
        place.set_yscale("log", base=2)
        sizes = [point["size"] for point in here]
        place.set_xticks(sizes, [str(size) for size in sizes])
        place.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        place.set_xlabel(label)
        place.set_title("seconds of an epoch", size=10)


if __name__ == "__main__":
    main()
