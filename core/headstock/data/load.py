"""Loads one table: a file of any format, or a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from headstock.data.config import Format
from headstock.data.formats.class_folders import read_class_folders, reads_class_folders
from headstock.data.formats.conll_file import read_conll
from headstock.data.formats.csv_file import read_csv
from headstock.data.formats.json_file import read_json
from headstock.data.formats.parquet_file import read_parquet
from headstock.data.layout import find_splits, format_of, is_split_name, metadata_file, suffixes_of
from headstock.data.system_files import is_system_file
from headstock.data.table import Rows, Table
from headstock.files import require_regular, user_path
from headstock.interfaces import Column, DataError


def load_table(
    path: Path,
    format: Format,
    columns: Sequence[Column],
    mapping: Mapping[str, str],
    *,
    need_targets: bool = True,
) -> Table:
    """Return the rows of one file or folder.

    Args:
        path: The file, or a folder that has a folder for each class or a metadata file inside.
        format: Its format; ``auto`` goes by the ending.
        columns: The task's columns.
        mapping: Column of the data for a column of the task, where names differ.
        need_targets: Whether target columns must be there. If not, a folder may also hold files of no class.

    Raises:
        DataError, ReadError: the data cannot be read, has no rows, or lacks a column.
    """
    if not user_path(path).exists():
        raise DataError(f"{path} does not exist")
    if path.is_dir():
        rows = _folder(path, format, columns, mapping, need_targets)
    else:
        rows = _file(path, format, columns, mapping, need_targets)
    if not len(rows):
        raise DataError(f"{path} has no rows")
    return Table(rows)


def _file(
    path: Path, chosen: Format, columns: Sequence[Column], mapping: Mapping[str, str], need_targets: bool
) -> Rows:
    require_regular(path)
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty")
    match format_of(path, chosen):
        case "csv":
            return read_csv(path, columns, mapping, need_targets)
        case "tsv":
            return read_csv(path, columns, mapping, need_targets, tabs=True)
        case "jsonl":
            return read_json(path, columns, mapping, need_targets)
        case "parquet":
            return read_parquet(path, columns, mapping, need_targets)
        case _:
            return read_conll(path, columns, mapping, need_targets)


def _folder(
    path: Path, chosen: Format, columns: Sequence[Column], mapping: Mapping[str, str], need_targets: bool
) -> Rows:
    splits = find_splits(path, chosen)
    if splits:
        names = ", ".join(str(split) for split in splits.values())
        raise DataError(f"{path} has splits inside; give one of them: {names}")
    metadata = metadata_file(path, chosen)
    if metadata is not None:
        return _file(metadata, chosen, columns, mapping, need_targets)
    if chosen not in ("auto", "folder") or not reads_class_folders(columns):
        raise DataError(f"{path} has no {_wanted(chosen)} inside{_no_class_folders(chosen, columns)}")
    names_inside = [entry.name for entry in path.iterdir() if entry.is_dir() and not is_system_file(entry.name)]
    if need_targets and names_inside and all(is_split_name(name) for name in names_inside):
        raise DataError(f"{path / sorted(names_inside)[0]} has no folder for each class inside")
    return read_class_folders(path, columns, need_targets)


def _wanted(chosen: Format) -> str:
    if chosen == "folder":
        return "train folder"
    endings = ", ".join(suffixes_of(chosen))
    return f"train, validation or test file ({endings})"


def _no_class_folders(chosen: Format, columns: Sequence[Column]) -> str:
    if chosen not in ("auto", "folder"):
        return ""
    return "" if reads_class_folders(columns) else ", and a folder for each class is not what this task reads"
