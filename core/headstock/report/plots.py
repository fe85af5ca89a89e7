"""Plots of a run as PNG: loss and validation metric over steps, confusion matrix."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font

from headstock.interfaces import ConfusionMatrix

DOTS_PER_INCH = 120
NUMBERS_SHOWN = 20
"""Above this many classes a cell's number would not be readable."""


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the records of a ``metrics.jsonl``."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


class _Window(NamedTuple):
    step: int
    total: float
    covered: int

    def after(self, other: _Window) -> _Window:
        return _Window(self.step, self.total + other.total, self.covered + other.covered)


def training_curve(records: list[dict[str, Any]]) -> tuple[list[int], list[float]]:
    """Return steps and training losses whose means cover about equally many optimizer steps.

    A record covers the steps since the one before: at a validation that may be a single step, whose loss would stand
    out of the line. Short ones are put together, each weighted by its steps, until they cover as many as the longest.
    A record with no loss is left out: all its steps were skipped.
    """
    train = [record for record in records if record["kind"] == "train" and record["loss"] is not None]
    covers = [now - before for before, now in pairwise([0, *(record["step"] for record in train)])]
    longest = max(covers, default=0)
    windows: list[_Window] = []
    for record, cover in zip(train, covers, strict=True):
        new = _Window(record["step"], record["loss"] * cover, cover)
        if windows and windows[-1].covered < longest:
            new = new.after(windows.pop())
        windows.append(new)
    if len(windows) > 1 and windows[-1].covered < longest:
        windows.append(windows.pop().after(windows.pop()))
    return [window.step for window in windows], [window.total / window.covered for window in windows]


def plot_curves(records: list[dict[str, Any]], metric: str, best_step: int, path: Path) -> None:
    """Draw training and validation loss, and the validation metric that chose the weights."""
    validation = [record for record in records if record["kind"] == "validation"]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(*training_curve(records), label="training")
    left.plot([r["step"] for r in validation], [r["loss"] for r in validation], marker="o", label="validation")
    left.set(title="loss", xlabel="optimizer step")
    left.legend()
    steps, values = [r["step"] for r in validation], [r[metric] for r in validation]
    right.plot(steps, values, marker="o", color="tab:green", clip_on=False)
    if all(value is None or 0 <= value <= 1 for value in values):
        low, high = right.get_ylim()
        right.set_ylim(max(low, 0), min(high, 1))
    right.set(title=f"validation {metric}", xlabel="optimizer step")
    for axes in (left, right):
        axes.axvline(best_step, color="grey", linestyle=":", linewidth=1)
        axes.grid(alpha=0.3)
        axes.set_xlim(left=0)
    right.text(best_step, 0.02, "best ", transform=right.get_xaxis_transform(), color="grey", ha="right")
    figure.savefig(path, dpi=DOTS_PER_INCH)


def plot_confusion(matrix: ConfusionMatrix, path: Path) -> None:
    """Draw a confusion matrix, each row as shares of its reference label, with counts where they are readable."""
    labels = list(matrix.labels)
    if not _drawable("".join(labels)):
        labels = [str(number) for number in range(len(labels))]
    size = min(max(3.0, 0.45 * len(labels) + 1), 13)
    figure = Figure(figsize=(size + 1.2, size))
    axes = figure.subplots()
    totals = [max(sum(row), 1) for row in matrix.counts]
    shares = [[count / total for count in row] for row, total in zip(matrix.counts, totals, strict=True)]
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the reference label", fraction=0.046)
    axes.set(xlabel="predicted", ylabel="reference", title="test split")
    crowded = max(map(len, labels)) * len(labels) > 4 * size * 2
    axes.set_xticks(range(len(labels)), labels, rotation=45 if crowded else 0, ha="right" if crowded else "center")
    axes.set_yticks(range(len(labels)), labels)
    if len(labels) <= NUMBERS_SHOWN:
        for row, counts in enumerate(matrix.counts):
            for column, count in enumerate(counts):
                colour = "white" if shares[row][column] > 0.5 else "black"
                axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
    figure.savefig(path, dpi=DOTS_PER_INCH, bbox_inches="tight")


def _drawable(text: str) -> bool:
    """Whether the plot's font has a glyph for every character."""
    font = FT2Font(findfont(FontProperties(family=mpl.rcParams["font.family"])))
    return all(font.get_char_index(ord(character)) for character in text)
