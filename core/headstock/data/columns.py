"""Finds a task's columns among those that the data has."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from headstock.data.config import DataConfig, SplitName
from headstock.data.open_columns import FILE_COLUMN, OpenColumns, folded
from headstock.data.telling_names import says_when, says_whose
from headstock.error_text import clipped
from headstock.interfaces import Column, DataError
from headstock_registry import nearest

SHOWN = 12
"""How many column names an error lists."""
LONGEST = 40
"""Characters that an error shows of a name."""


class MissingColumnError(DataError):
    """A column that is wanted is not among those that the data has."""


@dataclass(frozen=True)
class Wanted:
    """The columns that are wanted of data.

    Attributes:
        columns: The task's columns.
        mapping: Column of the data for a column of the task, where names differ.
        need_targets: Whether target columns must be there.
        beside: Columns of the data that are wanted beside the task's, each with the option that names it.
        need_beside: Whether these must be there.
        watch: Whether those are wanted too whose names say whose a row is, or when it was.
        unread: Takes the names of columns that training data had not, where it has settled the columns.
    """

    columns: Sequence[Column]
    mapping: Mapping[str, str]
    need_targets: bool = True
    beside: Mapping[str, str] = field(default_factory=dict)
    need_beside: bool = True
    watch: bool = False
    unread: list[str] = field(default_factory=list)

    def find(self, name: str, available: Sequence[str]) -> dict[str, str]:
        """Return the data's column for each of the task's columns, which this settles. See :func:`find_columns`."""
        later = isinstance(self.columns, OpenColumns) and not self.open
        self.settle(available)
        found = find_columns(name, available, self.columns, self.mapping, self.need_targets)
        if later:
            left_out = {folded(each) for each in (*found.values(), *self.beside)}
            self.unread.extend(each for each in available if folded(each) not in left_out)
        return found

    @property
    def open(self) -> bool:
        """Whether the data has yet to decide which columns are read."""
        return isinstance(self.columns, OpenColumns) and not self.columns.settled

    def settle(self, available: Sequence[str]) -> None:
        """Let these columns of training data decide what is read, where a task leaves that open."""
        if isinstance(self.columns, OpenColumns):
            self.columns.settle(available, self.mapping)

    def unread_notes(self, name: str) -> list[str]:
        """Return a line on the columns of data of this name that are not read, for training data had none such."""
        return (
            [f"{name}: columns that training data had not are not read: {listed(self.unread)}"] if self.unread else []
        )

    def find_beside(self, name: str, available: Sequence[str], taken: Mapping[str, str]) -> dict[str, str]:
        """Return the data's column for each that is wanted beside the task's.

        Args:
            name: What to call the data in an error.
            available: The data's columns.
            taken: What :meth:`find` returned.

        Raises:
            MissingColumnError: one that must be there is missing.
        """
        found: dict[str, str] = {}
        for column, option in self.beside.items():
            match = _match(name, column, available) or taken.get(column)
            if match is not None:
                found[column] = match
            elif self.need_beside:
                raise missing_beside(name, column, option, available)
        if self.watch:
            others = [each for each in available if each not in taken.values() and available.count(each) == 1]
            found |= {each: each for each in others if says_whose(each) or says_when(each)}
        return found

    def fits(self, available: Sequence[str]) -> bool:
        """Tell whether the data has all columns that must be there."""
        known = {column.name for column in self.columns}
        mapping = {name: source for name, source in self.mapping.items() if name in known}
        try:
            find_columns("", available, self.columns, mapping, self.need_targets)
        except DataError:
            return False
        return True

    def count(self, available: Sequence[str]) -> int:
        """Return how many of the task's columns the data has, under the name that the user gave or their own."""
        there = {folded(name) for name in available}
        names = ({column.name, self.mapping.get(column.name, column.name)} for column in self.columns)
        return sum(not there.isdisjoint(map(folded, either)) for either in names)

    @property
    def files(self) -> frozenset[str]:
        """The task's columns that hold files."""
        return frozenset(column.name for column in self.columns if column.content == "file")


def wanted_of(
    config: DataConfig, columns: Sequence[Column], split: SplitName | None, need_targets: bool = True
) -> Wanted:
    """Return the columns that are wanted of a split, those that only a cut reads included.

    Args:
        config: The ``data`` section.
        columns: The task's columns.
        split: Which split it is; splits are cut from ``train``, which must have what a cut reads.
        need_targets: Whether target columns must be there.
    """
    named = {"data.group": config.group, "data.order": config.order}
    beside = {column: option for option, column in named.items() if column is not None}
    return Wanted(
        columns, config.columns, need_targets, beside, split == "train", split == "train" and config.cut is None
    )


def find_columns(
    name: str, available: Sequence[str], columns: Sequence[Column], mapping: Mapping[str, str], need_targets: bool
) -> dict[str, str]:
    """Return the data's column for each of the task's columns; optional ones that are not there are left out.

    A column is found under the name that ``mapping`` gives, else under its own, else under its own in other case or
    with blanks around it; one that holds files also under ``file_name``.

    Args:
        name: What to call the data in an error.
        available: The data's columns.
        columns: The task's columns.
        mapping: The data's column for a column of the task, where the user said so.
        need_targets: Whether target columns must be there.

    Raises:
        MissingColumnError: a column is missing.
        DataError: a column is there twice, or ``mapping`` names a column that the task has not.
    """
    known = [column.name for column in columns]
    for key in mapping:
        if key not in known:
            raise DataError(f"data.columns.{key}: the task has no column '{key}'{nearest(key, known)}")
    found: dict[str, str] = {}
    for column in columns:
        wanted = mapping.get(column.name, column.name)
        match = _match(name, wanted, available)
        if match is None and column.content == "file" and column.name not in mapping:
            match = _match(name, FILE_COLUMN, available)
        if match is not None:
            found[column.name] = match
        elif column.role == "target" and not need_targets:
            continue
        elif column.name in mapping:
            raise MissingColumnError(
                f"{name} has no column '{wanted}', which data.columns.{column.name} names; it has: {listed(available)}"
            )
        elif column.required:
            raise MissingColumnError(_missing(name, column.name, available, found))
    return found


def missing_beside(name: str, column: str, option: str, available: Sequence[str]) -> MissingColumnError:
    """Return the error for a column that an option names and the data has not."""
    close = difflib.get_close_matches(column, available, n=1, cutoff=0.6)
    meant = f"; did you mean {close[0]}?" if close else ""
    return MissingColumnError(
        f"{name} has no column '{column}', which {option} names; it has: {listed(available) or 'none'}{meant}"
    )


def listed(names: Sequence[str]) -> str:
    """Return column names for an error, shortened where there are many or long ones."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(clipped(name, LONGEST) for name in names[:SHOWN]) + more


def _match(name: str, wanted: str, available: Sequence[str]) -> str | None:
    for same in (str, folded):
        matches = [column for column in available if same(column) == same(wanted)]
        if len(matches) > 1:
            raise DataError(f"{name} has {len(matches)} columns named '{wanted}'; rename all but one")
        if matches:
            return matches[0]
    return None


def _missing(name: str, wanted: str, available: Sequence[str], taken: Mapping[str, str]) -> str:
    free = [column for column in available if column not in taken.values()]
    if not free:
        return f"{name} has no column '{wanted}'; it has: {listed(available) or 'none'}"
    guess = (difflib.get_close_matches(wanted, free, n=1, cutoff=0.5) or free)[0]
    example = f"data.columns.{wanted}={guess if len(guess) <= 40 else '…'}"
    return f"{name} has no column '{wanted}'; it has: {listed(available)}; map one with {example}"
