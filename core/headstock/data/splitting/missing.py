"""Cuts the splits that data lacks out of its training rows, and keeps ``data.limit``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from headstock.data.config import DataConfig, SplitName
from headstock.data.splitting.cutting import Indices, cut, pick
from headstock.data.splitting.groups import Grouping, groups_of
from headstock.data.splitting.order import in_order
from headstock.data.splitting.ordered import cut_in_order
from headstock.data.splitting.survey import Survey
from headstock.data.tables.table import Table
from headstock.interfaces import Column, DataError, note

Surveying = Callable[[Table], Survey]
"""Says what the rows of a table are; see :func:`headstock.data.load_splits`."""


def cut_at_random(
    train: Table,
    missing: Sequence[SplitName],
    config: DataConfig,
    columns: Sequence[Column],
    survey: Surveying | None,
    grouping: Grouping | None,
) -> dict[SplitName, Table]:
    """Return ``train`` without the rows of the missing splits, and these, evenly over classes.

    Args:
        train: The training data.
        missing: The splits to cut.
        config: The ``data`` section.
        columns: The task's columns.
        survey: Says what the rows are.
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


def cut_by_order(
    train: Table,
    missing: Sequence[SplitName],
    config: DataConfig,
    survey: Surveying | None,
    grouping: Grouping | None,
) -> dict[SplitName, Table]:
    """Return the first rows of ``train``, and the missing splits from those that follow.

    Rows of a group stay together, groups in the order of their first rows; else rows with the same value of
    ``data.order`` do. Args: as :func:`cut_at_random`.

    Raises:
        DataError: there are too few rows, groups or values, or a value has no place in the order.
    """
    units = np.arange(len(train))
    if config.order is not None:
        train, units = in_order(train, config.order, config.on_bad_example == "skip")
    sizes = _sizes(train, missing, config)
    rows = np.arange(len(train))
    if grouping is not None:
        groups = groups_of(grouping, train)
        groups.require(train.name, missing)
        groups.tell()
        rows = np.argsort(groups.ids, kind="stable")
        units = groups.ids[rows]
    elif units[-1] < len(missing):
        what = f"warning: rows with one '{config.order}' are in several splits, for it has too few values"
        note(what, int(units[-1]) + 1)
        units = rows
    try:
        first, parts = cut_in_order(units, sizes, config.gap)
    except ValueError as error:
        gap = f" with data.gap={config.gap}" if config.gap else ""
        raise DataError(
            f"{train.name} has too few rows ({len(train)}) to cut {' and '.join(missing)} from it in order{gap}"
        ) from error
    by = "the file" if config.order is None else f"'{config.order}'"
    note(f"splits cut in the order of {by}, the last rows for {missing[-1]}; rows", len(train))
    note("rows left out between splits by data.gap", config.gap * len(missing))
    chosen = {split: np.sort(rows[part]) for split, part in {"train": first, **parts}.items()}
    if config.limit is not None:
        chosen = {split: _end_or_start(split, each, config.limit) for split, each in chosen.items()}
    if survey is not None:
        union = np.sort(np.concatenate(list(chosen.values())))
        usable = union[survey(train.select(union)).rows]
        chosen = {split: each[np.isin(each, usable)] for split, each in chosen.items()}
    for split, each in chosen.items():
        if not len(each):
            raise DataError(f"{train.name} has no usable row for {split}, which is cut from it in order")
    return {split: train.select(chosen[split]) for split in ("train", *missing)}


def limited(table: Table, split: SplitName, config: DataConfig, columns: Sequence[Column], ordered: bool) -> Table:
    """Return no more rows than ``limit`` lets a split have: evenly over classes, or in order, those next to the cut."""
    if config.limit is None or config.limit >= len(table):
        return table
    if ordered:
        return table.select(_end_or_start(split, np.arange(len(table)), config.limit, told=False))
    return table.select(pick(classes_of(table, columns), config.limit, config.split_seed))


def _end_or_start(split: str, rows: Indices, limit: int, told: bool = True) -> Indices:
    """Return the last rows of train, which are next to the others, and the first ones of these."""
    if told:
        note(f"{split} rows left out by data.limit", len(rows) - limit)
    return rows[-limit:] if split == "train" else rows[:limit]


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
