"""First pass over a split: every row is checked, its reference read and its content digested."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from headstock.attribution import note_rows
from headstock.data import Table
from headstock.interfaces import BadExampleError, DataError, Task
from headstock.interfaces.notes import noting
from headstock.preprocessing.fingerprint import content_digest
from headstock.preprocessing.notes import RowNotes

Policy = Literal["error", "skip"]
"""What ``data.on_bad_example`` says; where there is no such option (prediction), ``None`` stands for an error."""


@dataclass(frozen=True)
class ReadSplit:
    """The usable rows of a split.

    Attributes:
        name: ``train``, ``validation``, ``test``, or a name for other data.
        table: All rows.
        rows: Numbers in ``table`` of the usable rows.
        references: What is right for each usable row; ``None`` where that is not known (prediction).
        digests: A digest of each usable row's input.
        skipped: One line for each unusable row, with file and row.
        notes: What was noted of usable rows, by number in ``table``.
    """

    name: str
    table: Table
    rows: list[int]
    references: list[Any]
    digests: list[bytes]
    skipped: list[str]
    notes: RowNotes = field(default_factory=RowNotes)

    def inputs(self, task: Task) -> Iterator[Mapping[str, Any]]:
        """Yield the backbone inputs of the usable rows."""
        for row in self.rows:
            try:
                yield task.inputs(self.table[row])
            except Exception as error:
                note_rows(error, [self.table.where(row)])
                raise


def read_split(name: str, table: Table, task: Task, policy: Policy | None, with_references: bool = True) -> ReadSplit:
    """Read a split.

    Raises:
        BadExampleError: a row cannot be used and ``policy`` is not ``skip``; names file and row.
        DataError: no row can be used.
    """
    columns = [column for column in task.columns if column.role == "input"]
    split = ReadSplit(name, table, [], [], [], [])
    for number in range(len(table)):
        try:
            with noting() as found:
                row = table[number]
                inputs = task.inputs(row)
                reference = task.reference(row) if with_references else None
            parts = [content_digest(row.get(column.name), column.content == "file") for column in columns]
            digest = content_digest([dict(inputs), *(part.hex() for part in parts)], files=False)
        except BadExampleError as error:
            split.skipped.append(skip_or_raise(table.where(number), error, policy))
            continue
        except Exception as error:
            note_rows(error, [table.where(number)])
            raise
        split.rows.append(number)
        split.references.append(reference)
        split.digests.append(digest)
        split.notes.add(number, found)
    require_rows(split)
    return split


def skip_or_raise(where: str, error: BadExampleError, policy: Policy | None) -> str:
    """Return the line that reports a skipped row, or raise it when rows must not be skipped."""
    line = located(where, error)
    if policy == "skip":
        return line
    hint = " (data.on_bad_example=skip leaves such rows out)" if policy == "error" else ""
    raise BadExampleError(f"{line}{hint}") from error


def located(where: str, error: DataError) -> str:
    """Return what is wrong and where; a place that the message begins with is not said twice."""
    message = str(error)
    return message if message.startswith((f"{where} ", f"{where}:")) else f"{where}: {message}"


def require_rows(split: ReadSplit) -> None:
    """Raise :class:`DataError` when a split has no usable row."""
    if not split.rows:
        why = f": all {len(split.skipped)} were skipped, the first because {split.skipped[0]}" if split.skipped else ""
        raise DataError(f"the {split.name} data has no usable row{why}")
