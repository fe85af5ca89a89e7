"""What people are told of their data before training: what was left out, cut or dropped, by split."""

from __future__ import annotations

from collections.abc import Mapping

from headstock.preprocessing.notes import Noted
from headstock.preprocessing.prepare import PreparedSplit
from headstock.report.result import DataNote


def split_lines(name: str, split: PreparedSplit) -> list[str]:
    """Return the lines to show of one split."""
    skipped = split.split.skipped
    left_out = [f"{name}: left out {len(skipped)} bad rows, the first: {skipped[0]}"] if skipped else []
    return left_out + note_lines(name, split)


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
