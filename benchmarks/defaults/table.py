"""Compares the defaults with the best point of the grid, from what ``grid.py`` kept.

    python benchmarks/defaults/table.py FILE.jsonl

A default holds where it lies within one point of the best of the grid, or within one standard deviation of the
default's own figures over seeds, whichever is larger. The best is chosen by the same figures that it is judged by, so
that it looks better than it is. Only seeds that both have are compared.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

LOWER_IS_BETTER = ("wer", "cer", "loss")
POINT = 0.01


class Comparison(NamedTuple):
    """A default beside the best of its grid: their means, how many seeds and points there are, and what is allowed."""

    cell: str
    size: int
    default: float
    best: float
    settings: str
    seeds: int
    points: int
    allowed: float
    lower: bool

    @property
    def behind(self) -> float:
        """By how much the best is better."""
        return (self.default - self.best) * (1 if self.lower else -1)

    @property
    def holds(self) -> bool:
        """Whether the default is near enough."""
        return self.behind <= self.allowed + 1e-9


def compare(lines: list[Mapping[str, Any]]) -> list[Comparison]:
    """Return a comparison for each cell and size that has a default and a grid."""
    by_cell: dict[tuple[str, int], dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    lower = {}
    for line in lines:
        cell = line["cell"], line["size"]
        point = (
            line["point"] if isinstance(line["point"], str) else ", ".join(f"{k} {v}" for k, v in line["point"].items())
        )
        by_cell[cell][point][line["seed"]] = line["value"]
        lower[cell] = line["metric"] in LOWER_IS_BETTER
    found = []
    for cell, points in sorted(by_cell.items()):
        default = points.pop("default", {})
        seeds = set(default)
        full = {point: [values[seed] for seed in seeds] for point, values in points.items() if seeds <= set(values)}
        if not seeds or not full:
            continue
        better = min if lower[cell] else max
        best = better(full, key=lambda point: fmean(full[point]))
        spread = stdev(default.values()) if len(default) > 1 else 0.0
        found.append(
            Comparison(
                *cell,
                fmean(default.values()),
                fmean(full[best]),
                best,
                len(seeds),
                len(full),
                max(POINT, spread),
                lower[cell],
            )
        )
    return found


def main() -> None:
    """Print a table, and how many defaults hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("file", type=Path, nargs="+")
    lines = [json.loads(line) for file in parser.parse_args().file for line in file.read_text("utf-8").splitlines()]
    compared = compare(lines)
    out = sys.stdout
    out.write("| cell | examples | default | best of the grid | its settings | seeds | points | behind | allowed | |\n")
    out.write("|---|---|---|---|---|---|---|---|---|---|\n")
    for each in compared:
        verdict = "holds" if each.holds else "**misses**"
        out.write(
            f"| {each.cell} | {each.size} | {each.default:.3f} | {each.best:.3f} | {each.settings} | {each.seeds} | "
            f"{each.points} | {each.behind:+.3f} | {each.allowed:.3f} | {verdict} |\n"
        )
    held = sum(each.holds for each in compared)
    out.write(f"\n{held} of {len(compared)} defaults hold\n")


if __name__ == "__main__":
    main()
