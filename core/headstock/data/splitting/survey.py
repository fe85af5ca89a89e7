"""Cuts splits out of training data by what its rows are: duplicates stay together, every label stays in train."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstock.data.splitting.cutting import Indices, cut, shrunk
from headstock.data.splitting.grouped import cut_groups, joined
from headstock.data.splitting.groups import Groups
from headstock.interfaces import DataError, note

MANY = 50
"""Number of rows above which labels that all differ are taken for free text."""

Labels = str | tuple[str, ...]
"""The labels of a row: one, or any number."""


@dataclass(frozen=True)
class Survey:
    """What the rows of a table are, as far as a cut must know.

    Attributes:
        rows: Numbers of the usable rows, int64 (N,).
        contents: A digest of each usable row's inputs, bytes (N,): equal ones are duplicates.
        labels: The labels of each usable row; empty for tasks without labels.
    """

    rows: Indices
    contents: NDArray[np.bytes_]
    labels: Sequence[Labels]

    def cut(
        self,
        name: str,
        sizes: Mapping[str, int],
        seed: int,
        target: str = "label",
        groups: Groups | None = None,
    ) -> tuple[Indices, dict[str, Indices]]:
        """Return the rows that are left for training, and those of each part.

        Args:
            name: What to call the data in a message.
            sizes: Size of each part, at least 1.
            seed: Seed of the choice.
            target: The column that labels come from, for a message.
            groups: The groups of the usable rows, which stay whole.

        Raises:
            DataError: nothing can be cut, for no label has a row to spare, or there are too few groups.
        """
        if len(self.rows) <= len(sizes):
            raise DataError(
                f"{name} has too few usable rows ({len(self.rows)}): at least {len(sizes) + 1} are needed to cut "
                f"{' and '.join(sizes)} from it"
            )
        _, same = np.unique(self.contents, return_inverse=True)
        duplicates = same.astype(np.int64).reshape(-1)
        if groups is not None:
            return self._cut_groups(name, sizes, seed, groups, duplicates)
        return self._cut_rows(name, sizes, seed, duplicates, target)

    def _cut_groups(
        self, name: str, sizes: Mapping[str, int], seed: int, groups: Groups, duplicates: Indices
    ) -> tuple[Indices, dict[str, Indices]]:
        groups.require(name, list(sizes))
        groups.tell()
        rest, parts = cut_groups(joined(groups.ids, duplicates, len(sizes)), self._classes(), sizes, seed)
        return self.rows[rest], {part: self.rows[chosen] for part, chosen in parts.items()}

    def _cut_rows(
        self, name: str, sizes: Mapping[str, int], seed: int, groups: Indices, target: str
    ) -> tuple[Indices, dict[str, Indices]]:
        classes = self._classes()
        spare = self._spare(groups, classes)
        parts_are = " and ".join(sizes)
        if spare == 0 and isinstance(classes, list) and any(isinstance(label, tuple) for label in self.labels):
            # Rows with several labels each: nothing can be cut that takes no label out of train.
            classes = len(self.rows)
            spare = self._spare(groups, classes)
        if spare == 0:
            alone = np.arange(len(self.rows))
            duplicates = len(alone) - len(np.unique(groups))
            spare = self._spare(alone, classes)
            if spare == 0:
                raise DataError(self._why_not(name, parts_are, target))
            note(f"warning: {parts_are} repeat rows of train, for too few rows differ; rows that repeat", duplicates)
            groups = alone
        if spare < len(sizes):
            note(f"warning: {parts_are} are the same rows, for there are too few to cut them apart; rows", spare)
            rest, parts = cut(classes, {"all": spare}, seed, groups)
            return self.rows[rest], dict.fromkeys(sizes, self.rows[parts["all"]])
        if sum(sizes.values()) > spare:
            sizes = shrunk(sizes, spare)
        rest, parts = cut(classes, sizes, seed, groups)
        return self.rows[rest], {part: self.rows[chosen] for part, chosen in parts.items()}

    def _classes(self) -> list[str | None] | int:
        """Return for each row its rarest label, by which splits are cut evenly; the number of rows without labels."""
        if not self.labels:
            return len(self.rows)
        counts = Counter(
            label for labels in self.labels for label in ((labels,) if isinstance(labels, str) else labels)
        )
        return [
            labels if isinstance(labels, str) else min(labels, key=lambda label: (counts[label], label), default=None)
            for labels in self.labels
        ]

    def _spare(self, groups: Indices, classes: list[str | None] | int) -> int:
        """Return how many groups of duplicates can be cut so that each class keeps one."""
        units = len(np.unique(groups))
        if isinstance(classes, int):
            return units - 1
        counts = Counter(classes)
        rarest: dict[int, str | None] = {}
        for group, name in zip(groups.tolist(), classes, strict=True):
            if group not in rarest or counts[name] < counts[rarest[group]]:
                rarest[group] = name
        return units - len(set(rarest.values()))

    def _why_not(self, name: str, parts: str, target: str) -> str:
        if len(self.rows) > MANY:
            return (
                f"each of the {len(self.rows)} usable rows of {name} has a label of its own; such labels look like "
                f"free text: say with data.columns.{target} which column holds the label"
            )
        return (
            f"{name} has too few rows ({len(self.rows)}): each label has one row only, so {parts} cannot be cut from "
            "it without taking a label out of train; give more rows, or these splits as data of their own"
        )
