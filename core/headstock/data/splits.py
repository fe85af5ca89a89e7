"""Makes of what the ``data`` section names the three splits of a run, or the one table of an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from headstock.data.columns import listed, wanted_of
from headstock.data.config import SPLITS, DataConfig, SplitName
from headstock.data.file_formats import Formats
from headstock.data.folders.layout import Found, beside_splits, find_splits
from headstock.data.hub import load_hub_split, load_hub_splits
from headstock.data.load import OwnReader, formats_of, in_memory, load_own, load_table, one_of
from headstock.data.splitting.groups import Grouping, tell_shared
from headstock.data.splitting.likely import warn_of_likely_groups, warn_of_likely_order
from headstock.data.splitting.missing import cut_at_random, cut_by_order, limited
from headstock.data.splitting.survey import Survey
from headstock.data.tables.joined_rows import JoinedRows
from headstock.data.tables.table import Table
from headstock.files import user_path
from headstock.interfaces import Column, DataError, Task, note
from headstock.interfaces.task import Splits


def load_splits(
    config: DataConfig,
    columns: Sequence[Column],
    sample: Callable[[], Splits],
    reader: OwnReader | None = None,
    survey: Callable[[Table], Survey] | None = None,
) -> dict[str, Table]:
    """Return the tables ``train``, ``validation`` and ``test``.

    A split that the data lacks is cut from train: ``validation_fraction`` or ``test_fraction`` of train's rows, one at
    least, at random by ``split_seed``, evenly over the values of the task's stratified column, or in order (``cut``).
    ``limit`` then keeps at most that many rows of each split.

    Args:
        config: The ``data`` section.
        columns: The task's columns.
        sample: Returns the task's own data; called when ``config`` names none.
        reader: The task, whose own forms of data are tried before the common ones.
        survey: Says what the rows of a table are. Where splits are cut from train, it is asked about train; duplicates
            then stay together, labels with too few rows stay in train, and unusable rows are in no split.

    Raises:
        DataError: the data cannot be read, lacks a column or a target, or has too few rows to be cut.
    """
    ordered = config.ordered("random" if reader is None else reader.cut)
    tables = _named_splits(config, columns, sample, reader)
    for table in tables.values():
        _require_targets(table, columns, config)
    missing = [split for split in SPLITS if split not in tables]
    grouping = _grouping(config, reader)
    given = set(tables) - {"train"}
    if missing:
        train = tables["train"]
        tables |= (
            cut_by_order(train, missing, config, survey, grouping)
            if ordered
            else cut_at_random(train, missing, config, columns, survey, grouping)
        )
        if not ordered and config.cut is None:
            parts: dict[str, Table] = {split: tables[split] for split in SPLITS if split not in given}
            _warn(train, parts, columns, grouping)
    elif config.order is not None or config.gap:
        note("warning: data.order and data.gap say how splits are cut, and none is cut; splits", len(tables))
    kept: dict[str, Table] = {split: limited(tables[split], split, config, columns, ordered) for split in SPLITS}
    for split in SPLITS:
        note(f"{split} rows left out by data.limit", len(tables[split]) - len(kept[split]))
    if grouping is not None and given:
        tell_shared(grouping, kept)
    return kept


def load_evaluation(
    config: DataConfig,
    columns: Sequence[Column],
    split: SplitName = "test",
    reader: OwnReader | None = None,
    need_targets: bool = True,
) -> Table:
    """Return all rows of what ``config`` names, uncut, for a model that is tuned already.

    Without ``need_targets`` (prediction) target columns may be missing or empty, and a folder may just hold files. All
    that is ``path`` itself if it is one file or folder, and the given split if it has splits inside; the file of the
    given split; the given split of the Hub data set. ``limit`` holds.

    Raises:
        DataError: nothing is named, or the split is not there.
    """
    formats = formats_of(config, reader)
    formats.check()
    if config.hub is not None:
        table = load_hub_split(config, columns, split, need_targets)
    elif config.path is not None:
        folder = user_path(config.path)
        own = load_own(folder, config, columns, reader=reader, split=split, need_targets=need_targets)
        splits = find_splits(folder, formats) if folder.is_dir() and not own else {}
        if splits and split not in splits:
            raise DataError(f"{folder} has no {split} data inside; it has: {_names(splits)}")
        _tell_others(folder, splits, formats)
        if own:
            table = one_of(own, folder, split)
        else:
            table = _load_parts(splits.get(split, (folder,)), split, config, columns, reader, need_targets)
    else:
        named = getattr(config, split)
        if named is None:
            raise DataError(f"no data to evaluate: set data.{split}, data.path or data.hub")
        table = load_table(user_path(named), config, columns, reader=reader, split=split, need_targets=need_targets)
    if need_targets:
        _require_targets(table, columns, config)
    ordered = config.ordered("random" if reader is None else reader.cut)
    return limited(table, split, config, columns, ordered)


def _warn(train: Table, parts: Mapping[str, Table], columns: Sequence[Column], grouping: Grouping | None) -> None:
    """Warn of what the data itself says against a cut at random."""
    targets = [column.name for column in columns if column.role == "target"]
    if grouping is None:
        warn_of_likely_groups(train, parts, targets)
    warn_of_likely_order(train, targets)


def _grouping(config: DataConfig, reader: OwnReader | None) -> Grouping | None:
    """Return what makes rows one group: what the user names goes before what the task says."""
    says = getattr(type(reader), "group", Task.group) is not Task.group
    if reader is None or not (says or config.group):
        return None if config.group is None else Grouping(config.group, lambda row: None)
    return Grouping(config.group, reader.group)


def _named_splits(
    config: DataConfig, columns: Sequence[Column], sample: Callable[[], Splits], reader: OwnReader | None
) -> dict[SplitName, Table]:
    formats = formats_of(config, reader)
    formats.check()
    files: Found = {split: (user_path(value),) for split in SPLITS if (value := getattr(config, split)) is not None}
    if config.path is not None:
        path = user_path(config.path)
        own = load_own(path, config, columns, reader=reader)
        if own:
            if "train" not in own:
                raise DataError(f"{path} has no train data inside; it has: {', '.join(own)}")
            return own
        files = find_splits(path, formats) if path.is_dir() else {}
        _tell_others(path, files, formats)
        files = files or {"train": (path,)}
        if "train" not in files:
            raise DataError(f"{path} has no train data inside; it has: {_names(files)}")
    if config.hub is not None:
        tables = load_hub_splits(config, columns)
        where = f"{config.hub} has no training split; say which to take with data.splits.train"
    elif files:
        tables = {split: _load_parts(parts, split, config, columns, reader) for split, parts in files.items()}
        where = "data.train is not set, and data.validation and data.test do not go without it"
    else:
        tables = in_memory("sample", sample(), wanted_of(config, columns, "train"))
        where = "the task's sample has no training rows"
    if "train" not in tables:
        raise DataError(where)
    return tables


def _tell_others(folder: Path, splits: Found, formats: Formats) -> None:
    """Say what lies beside the splits and is not read."""
    others = beside_splits(folder, splits, formats) if splits else []
    names = listed([f"{each.name}/" if each.is_dir() else each.name for each in others])
    note(f"tables or folders left out beside the splits, for they are called like none ({names})", len(others))


def _load_parts(
    parts: Sequence[Path],
    split: SplitName,
    config: DataConfig,
    columns: Sequence[Column],
    reader: OwnReader | None,
    need_targets: bool = True,
) -> Table:
    tables = [
        load_table(part, config, columns, reader=reader, split=split, need_targets=need_targets) for part in parts
    ]
    if len(tables) == 1:
        return tables[0]
    first = tables[0]
    for table in tables[1:]:
        if set(table.columns) != set(first.columns):
            raise DataError(f"{table.name} has other columns of the task than {first.name}")
    return Table(JoinedRows(str(parts[0].parent), tables))


def _names(splits: Found) -> str:
    return ", ".join(part.name for parts in splits.values() for part in parts)


def _require_targets(table: Table, columns: Sequence[Column], config: DataConfig) -> None:
    """Raise if a target has no value in any row; one look at the first row suffices as a rule."""
    for column in columns:
        if column.role != "target" or not column.required:
            continue
        if column.name not in table.columns or all(value is None for value in table.values(column.name)):
            advice = (
                "; labels of this split may be withheld: take another one, e.g. data.splits.test=validation "
                "(validation is then cut from train)"
                if config.hub is not None
                else ""
            )
            raise DataError(f"{table.name} has no value in column '{column.name}'{advice}")
