"""What people are told of their data before training: what was left out, cut or dropped, by split."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from headstock.error_text import clipped, printable
from headstock.interfaces import Task
from headstock.preprocessing.notes import Noted
from headstock.preprocessing.prepare import PreparedSplit
from headstock.report.result import DataNote

SHOWN = 20
"""Labels that are listed with their counts."""
FEW = 5
"""Labels that a remark names."""
LONGEST = 40
"""Characters that are shown of a label."""


def split_lines(name: str, split: PreparedSplit, task: Task) -> list[str]:
    """Return the lines to show of one split: its labels, what was left out of it, what was cut."""
    skipped = split.split.skipped
    left_out = [f"{name}: left out {len(skipped)} bad rows, the first: {skipped[0]}"] if skipped else []
    return label_lines(name, split, task) + left_out + note_lines(name, split)


def label_lines(name: str, split: PreparedSplit, task: Task) -> list[str]:
    """Return a line with the labels of a split and their counts, and a warning where there is only one."""
    counts = task.label_counts(split.split.references)
    if not counts:
        return []
    listed = ", ".join(f"{_label(label)} {count:,}" for label, count in islice(counts.items(), SHOWN))
    more = f" and {len(counts) - SHOWN:,} more" if len(counts) > SHOWN else ""
    lines = [f"{name} {task.labels_are}: {listed}{more}"]
    if len(counts) == 1 and name in ("validation", "test"):
        lines.append(f"warning: {name} has one label only; its metrics say little")
    return lines


def alone_in_train(splits: Mapping[str, PreparedSplit], task: Task, cut: bool) -> list[str]:
    """Return a line on the labels that splits which were cut from train have no rows of."""
    counts = {name: task.label_counts(split.split.references) for name, split in splits.items()} if cut else {}
    elsewhere = {label for name, labels in counts.items() if name != "train" for label in labels}
    alone = {label: count for label, count in counts.get("train", {}).items() if label not in elsewhere}
    if not alone:
        return []
    listed = ", ".join(f"{_label(label)} {count:,}" for label, count in islice(alone.items(), FEW))
    more = f" and {len(alone) - FEW:,} more" if len(alone) > FEW else ""
    return [f"{task.labels_are} with too few rows to be cut, which are in train alone: {listed}{more}"]


def lacking(splits: Mapping[str, PreparedSplit], task: Task) -> list[str]:
    """Return a line for each split that lacks labels which others have, where an ordered cut could not spread them."""
    counts = {name: task.label_counts(split.split.references) for name, split in splits.items()}
    lines = []
    for name, labels in counts.items():
        lacks = list(dict.fromkeys(label for other in counts.values() for label in other if label not in labels))
        if lacks:
            listed = ", ".join(map(_label, lacks[:FEW]))
            more = f" and {len(lacks) - FEW:,} more" if len(lacks) > FEW else ""
            lines.append(f"warning: in an ordered cut, {name} has no rows of these {task.labels_are}: {listed}{more}")
    return lines


def _label(label: str) -> str:
    shown = printable(clipped(label, LONGEST))
    return shown if shown.strip() else f"'{shown}'"


def note_lines(name: str, split: PreparedSplit) -> list[str]:
    """Return a line for each kind of thing that was cut, dropped or changed in a split."""
    return [f"{name}: {what}: {_as_result(noted, split)}" for what, noted in split.notes.items()]


def data_notes(splits: Mapping[str, PreparedSplit]) -> dict[str, dict[str, DataNote]]:
    """Return what ``results.json`` keeps: by split what was noted, for splits of which something was."""
    return {
        name: {what: _as_result(noted, split) for what, noted in split.notes.items()}
        for name, split in splits.items()
        if split.notes
    }


def _as_result(noted: Noted, split: PreparedSplit) -> DataNote:
    return DataNote(count=noted.count, examples=noted.examples, share=noted.examples / len(split))
