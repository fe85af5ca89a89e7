"""Columns that the data decides: those that a task declares, until training data has settled others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import overload

from headstock.interfaces import Column, Task

FILE_COLUMN = "file_name"
"""The column in which the datasets library's own media folders name their files."""


class OpenColumns(Sequence[Column]):
    """The columns of a task that overrides :meth:`headstock.Task.columns_for`.

    Args:
        columns: What the task declares, or what training data settled.
        decide: Asked once with the names of the training data's columns; ``None``: they are settled.
        but: Columns of the data that are not offered.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        decide: Callable[[Sequence[str]], Sequence[Column]] | None = None,
        but: Sequence[str | None] = (),
    ) -> None:
        self._columns, self._decide = tuple(columns), decide
        self._but = {folded(name) for name in but if name is not None}

    def __len__(self) -> int:
        return len(self._columns)

    @overload
    def __getitem__(self, index: int) -> Column: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Column, ...]: ...
    def __getitem__(self, index: int | slice) -> Column | tuple[Column, ...]:
        return self._columns[index]

    @property
    def settled(self) -> bool:
        """Whether training data was seen."""
        return self._decide is None

    def settle(self, available: Sequence[str], mapping: Mapping[str, str]) -> None:
        """Ask the task for its columns, where that was not done yet.

        Args:
            available: The training data's columns.
            mapping: The data's column for a column of the task, where the user said so.
        """
        if self._decide is not None:
            self._columns = tuple(self._decide(self._offered(available, mapping)))
            self._decide = None

    def _offered(self, available: Sequence[str], mapping: Mapping[str, str]) -> list[str]:
        """Return the data's columns by the names that the task knows them under."""
        renamed = {folded(source): name for name, source in mapping.items()}
        declared = {folded(column.name): column.name for column in self._columns if column.name not in mapping}
        files = [column.name for column in self._columns if column.content == "file" and column.name not in mapping]
        if files and folded(files[0]) not in map(folded, available):
            declared[FILE_COLUMN] = files[0]
        offered: dict[str, None] = {}
        for name in available:
            key = folded(name)
            if key in renamed:
                offered[renamed[key]] = None
            elif key not in self._but and name.strip() not in mapping:
                offered[declared.get(key, name.strip())] = None
        return list(offered)


def columns_of(task: Task, but: Sequence[str | None] = ()) -> Sequence[Column]:
    """Return the columns that training data of a task is searched for: the declared ones, or open ones.

    Args:
        task: The task. It is told of the columns as soon as they are settled.
        but: Columns of the data that are not offered to :meth:`headstock.Task.columns_for`.
    """
    if type(task).columns_for is Task.columns_for:
        return task.columns

    def decide(available: Sequence[str]) -> Sequence[Column]:
        task.settle(task.columns_for(available))
        return task.data_columns

    return OpenColumns(task.columns, decide, but)


def settled_columns(task: Task) -> Sequence[Column]:
    """Return the columns that other data of a tuned task is searched for."""
    if type(task).columns_for is Task.columns_for:
        return task.columns
    return OpenColumns(task.data_columns)


def folded(name: str) -> str:
    """Return a name without the case and the blanks around it, which do not count."""
    return name.strip().casefold()
