"""Which rows belong together, by a column of the data or by what the task says, so that no group is torn apart."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headstock.data.columns import missing_beside
from headstock.data.splitting.cutting import Indices
from headstock.data.tables.table import Table
from headstock.interfaces import BadExampleError, DataError, note

PAIRS = (("validation", "train"), ("test", "train"), ("test", "validation"))


@dataclass(frozen=True)
class Grouping:
    """What makes rows one group.

    Attributes:
        column: The data's column that ``data.group`` names; ``None``: the task says.
        group: :meth:`headstock.Task.group`.
    """

    column: str | None
    group: Callable[[Mapping[str, Any]], Hashable | None]

    @property
    def what(self) -> str:
        """What a group is, for a message."""
        return "of the task" if self.column is None else f"of '{self.column}'"

    def has(self, table: Table) -> bool:
        """Tell whether the table says which group its rows are of."""
        return self.column is None or table.has(self.column)

    def keys(self, table: Table) -> Iterator[Hashable | None]:
        """Yield each row's group; ``None`` for a row that is of none, or cannot be read.

        Raises:
            MissingColumnError: the data has no such column.
        """
        if self.column is not None:
            if not self.has(table):
                raise missing_beside(table.name, self.column, "data.group", table.beside or table.columns)
            return map(key_of, table.values_of(self.column))
        return (None if isinstance(row, BadExampleError) else self._of(row) for row in table.read())

    def _of(self, row: Mapping[str, Any]) -> Hashable | None:
        try:
            return self.group(row)
        except BadExampleError:
            return None


@dataclass(frozen=True)
class Groups:
    """The groups of a table's rows.

    Attributes:
        ids: For each row the number of its group, int64 (N,); groups are numbered as they first appear.
        what: What a group is, for a message.
        alone: How many rows are of no group, and so one each.
    """

    ids: Indices
    what: str
    alone: int

    @property
    def count(self) -> int:
        """How many groups there are."""
        return int(self.ids.max()) + 1 if len(self.ids) else 0

    def require(self, name: str, parts: Sequence[str]) -> None:
        """Raise :class:`DataError` where there are too few groups to cut these parts from data of this name."""
        if self.count <= len(parts):
            raise DataError(
                f"{name} has too few groups {self.what} ({self.count}): at least {len(parts) + 1} are needed to "
                f"cut {' and '.join(parts)} from it; give more groups, or these splits as data of their own"
            )

    def tell(self) -> None:
        """Note what the cut goes by."""
        note(f"splits cut by whole groups {self.what}; groups", self.count)
        note(f"rows without a group {self.what}, each a group by itself", self.alone)


def groups_of(grouping: Grouping, table: Table) -> Groups:
    """Return the groups of a table's rows."""
    ids: list[int] = []
    known: dict[Hashable, int] = {}
    alone = 0
    for row, key in enumerate(grouping.keys(table)):
        alone += key is None
        ids.append(known.setdefault(_Alone(row) if key is None else key, len(known)))
    return Groups(np.asarray(ids, dtype=np.int64), grouping.what, alone)


def tell_shared(grouping: Grouping, tables: Mapping[str, Table]) -> None:
    """Note for each pair of splits how many rows of the one are of groups that the other has too."""
    keys = {name: list(grouping.keys(table)) for name, table in tables.items() if grouping.has(table)}
    for name, table in tables.items():
        if name not in keys:
            what = f"warning: {name} has no column '{grouping.column}', so that shared groups are not seen; rows"
            note(what, len(table))
    for name, other in PAIRS:
        if name in keys and other in keys:
            shared = (set(keys[name]) & set(keys[other])) - {None}
            rows = sum(key in shared for key in keys[name])
            what = f"warning: {name} and {other} share groups {grouping.what}: {len(shared):,}; rows of {name} in them"
            note(what, rows)


@dataclass(frozen=True)
class _Alone:
    """The group of a row that is of none."""

    row: int


def key_of(value: Any) -> Hashable | None:
    """Return a value as a key; a blank one is none."""
    if isinstance(value, str):
        return value.strip() or None
    return json.dumps(value, sort_keys=True, default=str) if isinstance(value, list | dict) else value
