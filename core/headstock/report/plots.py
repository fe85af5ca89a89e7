"""Plots of a run as PNG: loss and validation metric over steps, confusion matrix."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.text import Text
from rich.cells import cell_len, set_cell_size

from headstock.error_text import printable
from headstock.interfaces import ConfusionMatrix
from headstock.report.fonts import Fonts

DOTS_PER_INCH = 120
NUMBERS_SHOWN = 20
"""Above this many classes a cell's number would not be readable."""
LABELS_DRAWN, MOST_CONFUSED = 60, 20
"""So many labels are drawn at most, and of more than that so many."""
LONGEST_LABEL = 32
"""Width of a label that is drawn, in Latin characters; a Chinese one is as wide as two."""


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
    title = f"validation {printable(metric)}"
    fonts = Fonts.for_texts([title])
    right.set(title=title if fonts.can_draw(title) else "validation metric", xlabel="optimizer step")
    for axes in (left, right):
        axes.axvline(best_step, color="grey", linestyle=":", linewidth=1)
        axes.grid(alpha=0.3)
        axes.set_xlim(left=0)
    right.text(best_step, 0.02, "best ", transform=right.get_xaxis_transform(), color="grey", ha="right")
    _save(figure, path, fonts)


def plot_confusion(matrix: ConfusionMatrix, path: Path) -> dict[str, str]:
    """Draw a confusion matrix, each row as fractions of its reference label, with counts where they are readable.

    Of many labels those are drawn that are confused most; the title says how many of how many.

    Returns:
        Labels by the number (``#3``) that the plot shows for them, since no installed font has all their characters.
    """
    drawn = _most_confused(matrix)
    names = {index: _short(matrix.labels[index]) for index in drawn}
    fonts = Fonts.for_texts(names.values())
    labels = [names[index] if fonts.can_draw(names[index]) else f"#{index}" for index in drawn]
    numbered = {
        label: matrix.labels[index] for label, index in zip(labels, drawn, strict=True) if label != names[index]
    }
    totals: Counter[int] = Counter()
    for reference, _, count in matrix.pairs:
        totals[reference] += count
    position = {index: place for place, index in enumerate(drawn)}
    cells = {
        (position[reference], position[predicted]): (count, count / totals[reference])
        for reference, predicted, count in matrix.pairs
        if reference in position and predicted in position
    }
    shares = [[cells.get((row, column), (0, 0.0))[1] for column in range(len(labels))] for row in range(len(labels))]
    size = min(max(3.0, 0.45 * len(labels) + 1), 13)
    figure = Figure(figsize=(size + 1.2, size))
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="fraction of the reference label", fraction=0.046)
    fewer = len(drawn) < len(matrix.labels)
    title = f"test split, the {len(drawn)} most confused of {len(matrix.labels):,} labels" if fewer else "test split"
    axes.set(xlabel="predicted", ylabel="reference", title=title)
    crowded = max(map(cell_len, labels)) * len(labels) > 4 * size * 2
    axes.set_xticks(range(len(labels)), labels, rotation=45 if crowded else 0, ha="right" if crowded else "center")
    axes.set_yticks(range(len(labels)), labels)
    if len(labels) <= NUMBERS_SHOWN:
        for row in range(len(labels)):
            for column in range(len(labels)):
                count, share = cells.get((row, column), (0, 0.0))
                colour = "white" if share > 0.5 else "black"
                axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
    _save(figure, path, fonts, bbox_inches="tight")
    return numbered


def _most_confused(matrix: ConfusionMatrix) -> list[int]:
    """Return the labels to draw, in their order: all, or those that most wrong predictions are about."""
    if len(matrix.labels) <= LABELS_DRAWN:
        return list(range(len(matrix.labels)))
    wrong: Counter[int] = Counter()
    for reference, predicted, count in matrix.pairs:
        if reference != predicted:
            wrong[reference] += count
            wrong[predicted] += count
    return sorted(sorted(range(len(matrix.labels)), key=lambda index: (-wrong[index], index))[:MOST_CONFUSED])


def _short(label: str) -> str:
    """Return a label in one short line."""
    text = printable(label)
    return text if cell_len(text) <= LONGEST_LABEL else f"{set_cell_size(text, LONGEST_LABEL - 1).rstrip()}…"


def _save(figure: Figure, path: Path, fonts: Fonts, **options: Any) -> None:
    """Write a figure; no text in it is taken for a formula, whatever the labels and metrics are called."""
    for text in figure.findobj(Text):
        if isinstance(text, Text):
            text.set_parse_math(False)
            text.set_usetex(False)
            text.set_fontfamily([*fonts.families])
    figure.savefig(path, dpi=DOTS_PER_INCH, **options)
