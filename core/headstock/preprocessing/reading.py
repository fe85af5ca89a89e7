"""First pass over a split: every row is checked, its reference read and its content digested."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, MutableSequence
from dataclasses import dataclass, field
from typing import Any, Literal

from headstock.attribution import note_rows
from headstock.data import Table
from headstock.interfaces import BadExampleError, BadPartsError, DataError, Task, note
from headstock.interfaces.notes import noting
from headstock.preprocessing.compact import Digests
from headstock.preprocessing.fingerprint import RowDigests
from headstock.preprocessing.notes import RowNotes

Policy = Literal["error", "skip"]
"""What ``data.on_bad_example`` says of a row that cannot be used."""


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
        predicting: Whether the rows are only to be predicted: there are no references, and no row need be usable.
        notes: What was noted of usable rows, by index in ``table``.
        contents: For each usable row a digest of what its input columns hold; files count by content. Duplicates have
            the same.
    """

    name: str
    table: Table
    rows: MutableSequence[int]
    references: list[Any]
    digests: Digests
    skipped: list[str]
    predicting: bool = False
    notes: RowNotes = field(default_factory=RowNotes)
    contents: Digests = field(default_factory=Digests)

    def inputs(self, task: Task) -> Iterator[Mapping[str, Any]]:
        """Yield the backbone inputs of the usable rows."""
        for row, values in zip(self.rows, self.table.select(self.rows).read(), strict=True):
            try:
                if isinstance(values, BadExampleError):
                    raise values
                yield task.inputs(values)
            except Exception as error:
                note_rows(error, [self.table.where(row)])
                raise

    def taking(self, indices: array[int], references: list[Any], skipped: list[str], notes: RowNotes) -> ReadSplit:
        """Return the split of some of the usable rows, in order, with these references, skipped lines and notes."""
        every = len(indices) == len(self.rows)
        return ReadSplit(
            self.name,
            self.table,
            self.rows if every else array("q", (self.rows[index] for index in indices)),
            references,
            self.digests if every else self.digests.taking(indices),
            skipped,
            self.predicting,
            notes,
            self.contents if every else self.contents.taking(indices),
        )


MANY = 10_000
"""Texts that are looked at for whether references recur."""


def read_split(name: str, table: Table, task: Task, policy: Policy, predicting: bool = False) -> ReadSplit:
    """Read a split; where it is only to be predicted, references are not looked at.

    Raises:
        BadExampleError: a row cannot be used and ``policy`` is not ``skip``; names file and row.
        DataError: no row can be used.
    """
    digest_row = RowDigests(task.data_columns)
    split = ReadSplit(name, table, array("q"), [], Digests(), [], predicting)
    labels: dict[str, str] = {}
    with noting() as found:
        for number, row in enumerate(table.read()):
            found.clear()
            try:
                if isinstance(row, BadExampleError):
                    raise row
                inputs = task.inputs(row)
                reference = None if predicting else reference_of(task, row, policy)
                content, digest = digest_row(row, inputs)
            except BadExampleError as error:
                split.skipped.append(skip_or_raise(split, number, error, policy))
                continue
            except Exception as error:
                note_rows(error, [table.where(number)])
                raise
            if type(reference) is str and len(labels) < MANY:
                # Labels recur, so that one text of each is kept.
                reference = labels.setdefault(reference, reference)
            split.rows.append(number)
            split.references.append(reference)
            split.digests.append(digest)
            split.contents.append(content)
            if found:
                split.notes.add(number, found)
    require_rows(split)
    return split


def reference_of(task: Task, row: Mapping[str, Any], policy: Policy) -> Any:
    """Return what is right for a row; with ``skip`` without the parts that cannot be used, which are counted."""
    try:
        return task.reference(row)
    except BadPartsError as error:
        if policy != "skip":
            raise
        note(error.what, len(error.problems))
        return error.rest


def skip_or_raise(split: ReadSplit, row: int, error: BadExampleError, policy: Policy) -> str:
    """Return the line that reports a skipped row, or raise it when rows must not be skipped."""
    line = located(split.table.where(row), error)
    if policy == "skip":
        return line
    if split.predicting:
        raise BadExampleError(f"{line} (on_bad_example=skip gives null for such inputs)") from error
    what = "parts" if isinstance(error, BadPartsError) else "rows"
    raise BadExampleError(f"{line} (data.on_bad_example=skip leaves such {what} out)") from error


def located(where: str, error: DataError) -> str:
    """Return what is wrong and where; a place that the message begins with is not said twice."""
    message = str(error)
    return message if message.startswith((f"{where} ", f"{where}:", f"cannot read {where}:")) else f"{where}: {message}"


def require_rows(split: ReadSplit) -> None:
    """Raise :class:`DataError` when a split has no usable row, and needs one."""
    if not split.rows and not split.predicting:
        why = f": all {len(split.skipped)} were skipped, the first because {split.skipped[0]}" if split.skipped else ""
        raise DataError(f"the {split.name} data has no usable row{why}")


@dataclass(frozen=True)
class SplitInputs:
    """The backbone inputs of a split's usable rows, which can be gone through more than once."""

    split: ReadSplit
    task: Task

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """Yield them."""
        return self.split.inputs(self.task)
