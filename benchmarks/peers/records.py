"""The records of the comparison on disk, and the table that they make."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

OURS = "headstock"
HEADER = (
    "task",
    "precision",
    "epochs",
    "seeds",
    "other side",
    "test metric",
    "Headstock",
    "other",
    "Headstock examples/s",
    "other examples/s",
    "ratio (least to most)",
)
ARROWS = {"higher": "↑", "lower": "↓"}

Record = dict[str, Any]


class Setting(NamedTuple):
    """What two runs must share to be compared."""

    task: str
    precision: str
    epochs: int
    limit: int | None


def read(path: Path) -> list[Record]:
    """Return all records of a file that need not exist."""
    if not path.exists():
        return []
    content = json.loads(path.read_text("utf-8"))
    if not isinstance(content, list):
        raise SystemExit(f"{path} holds no list of records")
    return content


def append(path: Path, record: Record) -> None:
    """Add a record, one a line in a JSON list; the file is never half written."""
    lines = [json.dumps(each, ensure_ascii=False) for each in [*read(path), record]]
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".tmp")
    beside.write_text("[\n" + ",\n".join(lines) + "\n]\n", "utf-8")
    os.replace(beside, path)


def table(records: Iterable[Record]) -> str:
    """Return a Markdown table, a row for each setting and other side.

    Of several runs of a seed the newest comparison counts. A ratio is Headstock's speed by the other's: of the
    medians over the seeds, and in brackets the least and the greatest of the pairs that ran one after the other.
    """
    settings: dict[Setting, list[Record]] = {}
    for record in records:
        setting = Setting(record["task"], record["precision"], record["epochs"], record["limit"])
        settings.setdefault(setting, []).append(record)
    rows = [row for setting, members in settings.items() for row in _rows(setting, members)]
    lines = [f"| {' | '.join(cells)} |" for cells in [HEADER, ["---"] * len(HEADER), *rows]]
    return "\n".join(lines)


def _rows(setting: Setting, members: Sequence[Record]) -> list[list[str]]:
    ours = {(record["comparison"], record["seed"]): record for record in members if record["side"] == OURS}
    rows = []
    for side in dict.fromkeys(record["side"] for record in members if record["side"] != OURS):
        pairs: dict[int, tuple[Record, Record]] = {}
        for record in members:  # later ones are newer
            mine = ours.get((record["comparison"], record["seed"]))
            if record["side"] == side and mine is not None:
                pairs[record["seed"]] = (mine, record)
        if pairs:
            rows.append(_row(setting, side, [pairs[seed] for seed in sorted(pairs)]))
    return rows


def _row(setting: Setting, side: str, pairs: Sequence[tuple[Record, Record]]) -> list[str]:
    metric, better = pairs[0][0]["metric"], pairs[0][0]["better"]
    scores = [[pair[number]["after"][metric] for pair in pairs] for number in (0, 1)]
    speeds = [[pair[number]["examples_per_second"] for pair in pairs] for number in (0, 1)]
    medians = [statistics.median(values) for values in speeds]
    ratios = [mine / other for mine, other in zip(*speeds, strict=True)]
    return [
        setting.task + ("" if setting.limit is None else f" ({setting.limit} rows)"),
        setting.precision,
        str(setting.epochs),
        ", ".join(str(mine["seed"]) for mine, _ in pairs),
        side.replace("trainer-", "Trainer, "),
        f"{metric} {ARROWS[better]}",
        *map(_spread, scores),
        *(f"{median:.1f}" for median in medians),
        f"{medians[0] / medians[1]:.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
    ]


def _spread(values: Sequence[float]) -> str:
    mean = f"{statistics.fmean(values):.4f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.4f}"
