"""Cuts the splits that data lacks out of its training rows, and keeps ``data.limit``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from headstock.data.config import DataConfig, SplitName
from headstock.data.splitting.cutting import cut, pick
from headstock.data.splitting.groups import Grouping, groups_of
from headstock.data.splitting.survey import Survey
from headstock.data.tables.table import Table
from headstock.interfaces import Column, DataError, note


def cut_missing(
    train: Table,
    missing: Sequence[SplitName],
    config: DataConfig,
    columns: Sequence[Column],
    survey: Callable[[Table], Survey] | None,
    grouping: Grouping | None,
) -> dict[SplitName, Table]:
    """Return ``train`` without the rows of the missing splits, and these.

    Args:
        train: The training data.
        missing: The splits to cut.
        config: The ``data`` section.
        columns: The task's columns.
        survey: Says what the rows of a table are; see :func:`headstock.data.load_splits`.
        grouping: Which rows stay in one split.

    Raises:
        DataError: there are too few rows, or groups.
    """
    sizes = _sizes(train, missing, config)
    if survey is None and grouping is None:
        rest, parts = cut(classes_of(train, columns), sizes, config.split_seed)
    else:
        train, sizes = _thinned(train, sizes, config, columns)
        usable = _unread(train, columns) if survey is None else survey(train)
        target = next((column.name for column in columns if column.role == "target"), "label")
        groups = None if grouping is None else groups_of(grouping, train.select(usable.rows))
        rest, parts = usable.cut(train.name, sizes, config.split_seed, target, groups)
    tables: dict[SplitName, Table] = {"train": train.select(rest)}
    tables.update({split: train.select(parts[split]) for split in missing})
    return tables


def limited(table: Table, config: DataConfig, columns: Sequence[Column]) -> Table:
    """Return no more rows than ``limit`` lets a split have, evenly over classes."""
    if config.limit is None or config.limit >= len(table):
        return table
    return table.select(pick(classes_of(table, columns), config.limit, config.split_seed))


def classes_of(table: Table, columns: Sequence[Column]) -> list[Any] | int:
    """Return each row's value in the stratified column, or, without one of scalars, the number of rows."""
    for column in columns:
        if column.stratify and column.name in table.columns:
            values = list(table.values(column.name))
            scalar = all(value is None or isinstance(value, str | int | float | bool) for value in values)
            return values if scalar else len(table)
    return len(table)


def _sizes(train: Table, missing: Sequence[SplitName], config: DataConfig) -> dict[str, int]:
    """Return how many rows each missing split is to have."""
    needed = len(missing) + 1
    if len(train) < needed:
        raise DataError(
            f"{train.name} has too few rows ({len(train)}): at least {needed} are needed to cut "
            f"{' and '.join(missing)} from it"
        )
    fractions = {"validation": config.validation_fraction, "test": config.test_fraction}
    sizes: dict[str, int] = {split: max(1, round(len(train) * fractions[split])) for split in missing}
    if sum(sizes.values()) >= len(train):
        asked = " and ".join(f"data.{split}_fraction={fractions[split]}" for split in missing)
        raise DataError(f"{train.name} has too few rows ({len(train)}) for {asked}: nothing is left to train on")
    return sizes


def _thinned(
    train: Table, sizes: dict[str, int], config: DataConfig, columns: Sequence[Column]
) -> tuple[Table, dict[str, int]]:
    """Return no more rows than ``limit`` lets the splits have together, so that the others need not be looked at."""
    if config.limit is None:
        return train, sizes
    sizes = {split: min(size, config.limit) for split, size in sizes.items()}
    kept = config.limit + sum(sizes.values())
    if kept >= len(train):
        return train, sizes
    note("rows left out by data.limit before splits were cut", len(train) - kept)
    return train.select(pick(classes_of(train, columns), kept, config.split_seed)), sizes


def _unread(train: Table, columns: Sequence[Column]) -> Survey:
    """Return what can be known of rows without reading them: their classes."""
    classes = classes_of(train, columns)
    rows = np.arange(len(train))
    return Survey(rows, rows.astype(np.bytes_), [] if isinstance(classes, int) else [str(name) for name in classes])
