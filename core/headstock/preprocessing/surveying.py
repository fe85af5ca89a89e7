"""Reads training data once, before splits are cut from it, and keeps what was read for the splits."""

from __future__ import annotations

from array import array

import numpy as np

from headstock.data import Table
from headstock.data.splitting.survey import Labels, Survey
from headstock.interfaces import Task
from headstock.kits.spelling import spelling_key
from headstock.preprocessing.reading import Policy, ReadSplit, read_split


class Surveyor:
    """Reads tables; rows of a table that was surveyed are not read again."""

    def __init__(self, task: Task, policy: Policy) -> None:
        self._task, self._policy = task, policy
        self._whole: ReadSplit | None = None
        self._known: dict[str, str] = {}

    def survey(self, table: Table) -> Survey:
        """Read the training data and return what a cut must know of it."""
        self._whole = read_split("train", table, self._task, self._policy)
        labels = [self._labels(reference) for reference in self._whole.references]
        rows = np.asarray(self._whole.rows, dtype=np.int64)
        return Survey(rows, self._whole.contents.array(), labels if any(labels) else [])

    @property
    def cut(self) -> bool:
        """Whether splits were cut from a table that was surveyed."""
        return self._whole is not None

    def _labels(self, reference: object) -> Labels:
        """Return the labels of one reference, by value and not by spelling."""
        names = self._task.label_counts([reference])
        keys = tuple(self._known.setdefault(name, spelling_key(name)) for name in names)
        return keys[0] if len(keys) == 1 else keys

    def read(self, name: str, table: Table) -> ReadSplit:
        """Return a split; one that was cut is made of what was read of the whole."""
        whole = self._whole
        if whole is None or table.rows is not whole.table.rows:
            return read_split(name, table, self._task, self._policy)
        everything = np.arange(len(whole.table)) if whole.table.indices is None else whole.table.indices
        usable = everything[np.asarray(whole.rows, dtype=np.int64)]
        order = np.argsort(usable, kind="stable")
        wanted = np.arange(len(table)) if table.indices is None else table.indices
        positions = order[np.searchsorted(usable, wanted, sorter=order)]
        return ReadSplit(
            name,
            whole.table,
            rows := array("q", (whole.rows[position] for position in positions.tolist())),
            [whole.references[position] for position in positions.tolist()],
            whole.digests.taking(positions),
            list(whole.skipped) if name == "train" else [],
            notes=whole.notes.of(rows),
            contents=whole.contents.taking(positions),
        )
