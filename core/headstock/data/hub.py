"""Data sets of the Hugging Face Hub (or a local folder laid out like one), through the datasets library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headstock.data.columns import Wanted, wanted_of
from headstock.data.config import SPLITS, DataConfig, SplitName
from headstock.data.folders.layout import pick_alias
from headstock.data.tables.arrow_rows import ArrowRows
from headstock.data.tables.table import Table
from headstock.data.tables.values import reader_of
from headstock.interfaces import Column, DataError
from headstock.quiet import quiet_datasets

if TYPE_CHECKING:
    from datasets import Dataset


def load_hub_splits(config: DataConfig, columns: Sequence[Column]) -> dict[SplitName, Table]:
    """Return the splits that a Hub data set has, under our names.

    ``config.splits`` says which Hub split to take; the rest goes by name (validation, valid, val or dev). A Hub split
    that the user took whole for one purpose is not taken for another one by its name.

    Raises:
        DataError: the data set cannot be had, lacks a split or column that is asked for, or a split would be taken by
            its name of which the user took a part for something else.
    """
    found = _download(config)
    chosen = dict(config.splits)
    taken = set(config.splits.values())
    parts = {part.split("[")[0].strip() for expression in taken - set(found) for part in expression.split("+")}
    for split in SPLITS:
        if split in chosen:
            continue
        name = pick_alias(split, list(found), str(config.hub), f"data.splits.{split}")
        if name in parts:
            raise DataError(
                f"{config.hub}: data.splits takes a part of '{name}'; say with data.splits.{split} what {split} takes"
            )
        if name is not None and name not in taken:
            chosen[split] = name
    if not chosen:
        raise DataError(
            f"{config.hub} has the splits {', '.join(found)}; say which one to train on, "
            f"e.g. data.splits.train={next(iter(found))}"
        )
    ordered = [(split, chosen[split]) for split in SPLITS if split in chosen]  # training data settles the columns
    return {split: _table(config, name, found, wanted_of(config, columns, split)) for split, name in ordered}


def load_hub_split(config: DataConfig, columns: Sequence[Column], split: SplitName, need_targets: bool = True) -> Table:
    """Return one split of a Hub data set.

    Raises:
        DataError: the data set cannot be had, or lacks the split or a column.
    """
    found = _download(config)
    name = config.splits.get(split) or pick_alias(split, list(found), str(config.hub), f"data.splits.{split}")
    if name is None:
        raise DataError(
            f"{config.hub} has no {split} split; it has: {', '.join(found)}; say which to take with data.splits.{split}"
        )
    return _table(config, name, found, Wanted(columns, config.columns, need_targets))


def _table(
    config: DataConfig,
    name: str,
    found: Mapping[str, Dataset],
    wanted: Wanted,
) -> Table:
    dataset = found[name] if name in found else _load(config, f"split '{name}' of", split=name)
    where = f"{config.hub} {name}"
    sources = wanted.find(where, dataset.column_names)
    beside = wanted.find_beside(where, dataset.column_names, sources)
    readers = {column: reader_of(dataset.features[source]) for column, source in sources.items()}
    kept = {column: (source, reader_of(dataset.features[source])) for column, source in beside.items()}
    needed = dataset.select_columns(list(dict.fromkeys([*sources.values(), *beside.values()]))).with_format("arrow")
    if not len(needed):
        raise DataError(f"{where} has no rows")
    notes = tuple(wanted.unread_notes(where))
    return Table(ArrowRows(where, needed, sources, readers, notes, kept))


def _download(config: DataConfig) -> Mapping[str, Dataset]:
    found: Mapping[str, Dataset] = _load(config, "the data set")
    return found


def _load(config: DataConfig, what: str, **options: Any) -> Any:
    import datasets

    try:
        with quiet_datasets():
            return datasets.load_dataset(config.hub, name=config.name, revision=config.revision, **options)
    except Exception as error:  # the library, the Hub's client and the file formats each have errors of their own
        reasons = [" ".join(str(reason).split()) for reason in (error, error.__cause__) if reason is not None]
        reason = ": ".join(reason.rstrip(".") for reason in reasons if reason) or type(error).__name__
        raise DataError(f"cannot load {what} {config.hub} (data.hub): {reason}") from error
