"""Loads one table: a file of any format, or a folder."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from headstock.data.columns import Wanted, listed, wanted_of
from headstock.data.config import SPLITS, DataConfig, SplitName
from headstock.data.file_formats import AUTO, FOLDER, Formats
from headstock.data.folders.layout import find_splits, is_split_name, metadata_file, tables_in
from headstock.data.folders.system_files import is_system_file
from headstock.data.formats.class_folders import read_class_folders, reads_class_folders
from headstock.data.formats.csv_file import read_csv
from headstock.data.formats.json_file import read_json
from headstock.data.formats.parquet_file import read_parquet
from headstock.data.open_columns import OpenColumns
from headstock.data.tables.table import MemoryRows, Rows, Table
from headstock.files import require_regular, user_path
from headstock.interfaces import Column, DataError, Request
from headstock.interfaces.task import Row, Splits

LOOKED_AT = 1000
"""Rows in memory whose columns are looked at, where the data decides what is read."""

_PATTERN = re.compile(r"[*?\[]")


class OwnReader(Protocol):
    """What reads forms of data that only one task has: the task itself."""

    @property
    def formats(self) -> Mapping[str, tuple[str, ...]]:
        """See :attr:`headstock.Task.formats`."""

    def read(self, request: Request) -> Splits | None:
        """See :meth:`headstock.Task.read`."""

    @property
    def cut(self) -> str:
        """See :attr:`headstock.Task.cut`."""

    def group(self, row: Row) -> Hashable | None:
        """See :meth:`headstock.Task.group`."""


def load_table(
    path: Path,
    config: DataConfig,
    columns: Sequence[Column],
    *,
    need_targets: bool = True,
    reader: OwnReader | None = None,
    split: SplitName | None = None,
) -> Table:
    """Return the rows of one file or folder.

    Args:
        path: The file, or a folder that has a folder for each class or a metadata file inside.
        config: How it is read: ``format`` and ``columns`` count here, and not what it names.
        columns: The task's columns.
        need_targets: Whether target columns must be there. If not, a folder may also hold files of no class.
        reader: The task, whose own forms of data are tried before the common ones.
        split: Which split it is, for data in a form that has splits inside.

    Raises:
        DataError, ReadError: the data cannot be read, has no rows, or lacks a column.
    """
    if not user_path(path).exists():
        pattern = "; patterns are not expanded: name one file or folder" if _PATTERN.search(str(path)) else ""
        raise DataError(f"{path} does not exist{pattern}")
    own = load_own(path, config, columns, need_targets=need_targets, reader=reader, split=split)
    if own:
        return one_of(own, path, split)
    formats = formats_of(config, reader)
    formats.check()
    wanted = wanted_of(config, columns, split, need_targets)
    reading = Reading(formats, wanted, config.header)
    alone = _only_table(path, reading) if path.is_dir() else None
    if alone is not None:
        table = load_table(alone, config, columns, need_targets=need_targets, reader=reader, split=split)
        return replace(table, rows=with_notes(table.rows, [f"{path}: took {alone.name}, its only table"]))
    rows = _folder(path, reading) if path.is_dir() else _file(path, reading)
    if not len(rows):
        raise DataError(f"{path} has no rows")
    return Table(with_notes(rows, wanted.unread_notes(str(path))))


def with_notes(rows: Rows, notes: Sequence[str]) -> Rows:
    """Return rows with more notes, these first."""
    content: Any = rows
    noted: Rows = replace(content, notes=(*notes, *rows.notes)) if notes else rows
    return noted


def load_own(
    path: Path,
    config: DataConfig,
    columns: Sequence[Column],
    *,
    need_targets: bool = True,
    reader: OwnReader | None = None,
    split: SplitName | None = None,
) -> dict[SplitName, Table]:
    """Return the splits of data in a form that only the task has; none if it is in no such form.

    Args: as :func:`load_table`.

    Raises:
        DataError: the data is damaged, or not in the task's form that the user chose.
    """
    if reader is None or not path.exists() or config.format not in (AUTO, *reader.formats):
        return {}
    found = reader.read(Request(path, config.format, config.columns, split, need_targets))
    if found is None:
        if config.format != AUTO and path.is_file():
            raise DataError(f"{path} is not in the format {config.format}, which data.format names")
        return {}
    tables = in_memory(str(path), found, wanted_of(config, columns, split, need_targets))
    if not tables:
        raise DataError(f"{path} has no rows")
    return tables


def in_memory(name: str, splits: Splits, wanted: Wanted) -> dict[SplitName, Table]:
    """Return tables of the splits that a task returned, without those that have no rows.

    Where the data decides the columns, rows keep these alone.
    """
    tables: dict[SplitName, Table] = {}
    for split in SPLITS:
        rows: Sequence[Mapping[str, Any]] = splits.get(split, ())
        if not len(rows):
            continue
        decided = isinstance(wanted.columns, OpenColumns)
        if wanted.open:
            wanted.settle(rows.columns if isinstance(rows, Table) else _keys(rows))
        if isinstance(rows, Table):
            tables[split] = rows
            continue
        present = tuple(column.name for column in wanted.columns if column.name in rows[0])
        notes: tuple[str, ...] = getattr(rows, "notes", ())
        # A task that declares its columns may leave itself word in others.
        known = frozenset(column.name for column in wanted.columns) if decided else None
        tables[split] = Table(MemoryRows(f"{name} {split}", rows, present, notes, known))
    return tables


def _keys(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the columns of rows in memory, of which any may lack some cells."""
    return list(dict.fromkeys(key for row in islice(rows, LOOKED_AT) for key in row))


def one_of(own: Mapping[SplitName, Table], path: Path, split: SplitName | None) -> Table:
    """Return the named split, or the only one that there is.

    Raises:
        DataError: there are others only.
    """
    if len(own) == 1:
        return next(iter(own.values()))
    if split is None or split not in own:
        wanted = f"has no {split} data inside; it has" if split else "has splits inside; give one of them"
        raise DataError(f"{path} {wanted}: {', '.join(own)}")
    return own[split]


def formats_of(config: DataConfig, reader: OwnReader | None) -> Formats:
    """Return the formats that files of a task may have, and the chosen one."""
    return Formats(config.format, {} if reader is None else reader.formats)


class Reading(NamedTuple):
    """How a file or folder is to be read."""

    formats: Formats
    wanted: Wanted
    header: bool


def _file(path: Path, reading: Reading) -> Rows:
    formats, wanted, header = reading
    require_regular(path)
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty")
    match formats.of(path):
        case "csv":
            return read_csv(path, wanted, header=header)
        case "tsv":
            return read_csv(path, wanted, tabs=True, header=header)
        case "jsonl":
            return read_json(path, wanted)
        case "parquet":
            return read_parquet(path, wanted)
        case own:
            raise DataError(f"{path} is not in the format {own}, as its ending says; set data.format")


def _folder(path: Path, reading: Reading) -> Rows:
    formats, wanted, _ = reading
    splits = find_splits(path, formats)
    if splits:
        names = ", ".join(str(part) for parts in splits.values() for part in parts)
        raise DataError(f"{path} has splits inside; give one of them: {names}")
    metadata = metadata_file(path, formats)
    if metadata is not None:
        return _file(metadata, reading)
    if formats.chosen not in (AUTO, FOLDER) or not reads_class_folders(wanted.columns, wanted.need_targets):
        raise DataError(_nothing(path, formats, wanted))
    names_inside = [entry.name for entry in path.iterdir() if entry.is_dir() and not is_system_file(entry.name)]
    if wanted.need_targets and names_inside and all(is_split_name(name) for name in names_inside):
        raise DataError(f"{path / sorted(names_inside)[0]} has no folder for each class inside")
    wanted.settle([column.name for column in wanted.columns])
    return read_class_folders(path, wanted.columns, wanted.need_targets)


def _only_table(path: Path, reading: Reading) -> Path | None:
    """Return a folder's only table, where the folder has neither splits nor class folders.

    Raises:
        DataError: it has several tables, and nothing says which to take.
    """
    formats, wanted, _ = reading
    if find_splits(path, formats) or metadata_file(path, formats) is not None:
        return None
    if reads_class_folders(wanted.columns, wanted.need_targets):
        folders = [entry for entry in path.iterdir() if entry.is_dir() and not is_system_file(entry.name)]
        if not wanted.need_targets or len(folders) > 1:
            return None
    tables = tables_in(path, formats)
    if len(tables) > 1:
        raise DataError(
            f"{path} has the tables {listed([table.name for table in tables])}; name one of them, or name each split "
            "with data.train, data.validation and data.test"
        )
    return tables[0] if tables else None


def _nothing(path: Path, formats: Formats, wanted: Wanted) -> str:
    holds = sorted(entry.name for entry in path.iterdir() if not is_system_file(entry.name))
    has = f"; it holds: {listed(holds)}" if holds else "; it is empty"
    return f"{path} has no {_expected(formats)} inside{_no_class_folders(formats, wanted)}{has}"


def _expected(formats: Formats) -> str:
    if formats.chosen == FOLDER:
        return "train folder"
    return f"train, validation or test file ({', '.join(formats.suffixes)})"


def _no_class_folders(formats: Formats, wanted: Wanted) -> str:
    if formats.chosen not in (AUTO, FOLDER):
        return ""
    return "" if reads_class_folders(wanted.columns) else ", and a folder for each class is not what this task reads"
