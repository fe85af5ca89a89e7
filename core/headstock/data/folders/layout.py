"""Finds splits in a folder by the names of what is inside: train.csv, valid.jsonl, test/ …"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from headstock.data.config import SPLITS, SplitName
from headstock.data.file_formats import Formats
from headstock.data.folders.split_names import plainest, shard_of, split_in, split_of
from headstock.data.folders.system_files import is_system_file
from headstock.interfaces import DataError

METADATA = "metadata"
"""Beginning of the name of the file that describes the media files of a folder, as the datasets library calls it."""

Found = dict[SplitName, tuple[Path, ...]]
"""For each split the file or folder that it is, or the shards of one table."""


def find_splits(folder: Path, formats: Formats) -> Found:
    """Return the splits that lie in a folder as files or folders; a file goes before a folder of the same name.

    A folder is a split only if it has folders (the classes) or a metadata file inside; otherwise it is a class that
    happens to be called so. Files whose name only begins or ends with that of a split (``reviews-test.csv``) are
    splits where no file is called just so, and where that gives at least two splits or training data.

    Raises:
        DataError: a split is there twice, a shard of it is missing, or the folder cannot be read.
    """
    entries = _entries(folder)
    files = [entry for entry in entries if _is_table(entry, formats)]
    splits = {split: found for split in SPLITS if (found := _called(folder, split, entries, files))}
    if "train" in splits:
        return splits
    loose = {split: found for split in SPLITS if (found := _files_called(folder, split, files, split_in))}
    together = {**loose, **splits}
    return together if "train" in together or len(together) > 1 else splits


def beside_splits(folder: Path, found: Found, formats: Formats) -> list[Path]:
    """Return what lies beside a folder's splits and could be one by its kind: tables beside tables, folders beside
    folders."""
    parts = {part for parts in found.values() for part in parts}
    folders = any(part.is_dir() for part in parts)
    files = any(not part.is_dir() for part in parts)
    return [
        entry
        for entry in _entries(folder)
        if entry not in parts and ((folders and entry.is_dir()) or (files and _is_table(entry, formats)))
    ]


def tables_in(folder: Path, formats: Formats) -> list[Path]:
    """Return the files right in a folder that have a table's ending."""
    return [entry for entry in _entries(folder) if _is_table(entry, formats)]


def metadata_file(folder: Path, formats: Formats) -> Path | None:
    """Return the file that describes a folder's media files, if it has one.

    Raises:
        DataError: it has more than one.
    """
    found = [entry for entry in tables_in(folder, formats) if entry.stem.casefold() == METADATA]
    if len(found) > 1:
        raise DataError(f"{folder} has {' and '.join(entry.name for entry in found)}; keep one of them")
    return found[0] if found else None


def pick_alias(split: SplitName, names: Collection[str], where: str, option: str) -> str | None:
    """Return the one of ``names`` that stands for a split.

    Raises:
        DataError: more than one does.
    """
    found = plainest([name for name in names if split_of(name) == split])
    if len(found) > 1:
        raise DataError(f"{where} has the splits {' and '.join(found)}; say which with {option}")
    return found[0] if found else None


def is_split_name(name: str) -> bool:
    """Tell whether a name is that of a split."""
    return split_of(name) is not None


def _called(folder: Path, split: SplitName, entries: Sequence[Path], files: Sequence[Path]) -> tuple[Path, ...]:
    found = _files_called(folder, split, files, split_of)
    if found:
        return found
    folders = {entry.name: entry for entry in entries if split_of(entry.name) == split and _is_split_folder(entry)}
    return tuple(_only(folder, [folders[name] for name in plainest(list(folders))]))


def _files_called(
    folder: Path, split: SplitName, files: Sequence[Path], named: Callable[[str], SplitName | None]
) -> tuple[Path, ...]:
    tables: dict[tuple[str, str, int], dict[int, Path]] = {}
    for file in files:
        stem, number, count = shard_of(file.stem) or (file.stem, 0, 0)
        if named(stem) == split:
            tables.setdefault((stem, file.suffix, count), {})[number] = file
    if not tables:
        return ()
    plain = set(plainest([stem for stem, _, _ in tables]))
    tables = {key: shards for key, shards in tables.items() if key[0] in plain}
    _only(folder, [next(iter(shards.values())) for shards in tables.values()])
    [((stem, suffix, count), shards)] = tables.items()
    missing = [number for number in range(count) if number not in shards]
    if missing:
        raise DataError(f"{folder}: of {stem}{suffix}, {count} shards, number {missing[0]} is missing")
    return tuple(shards[number] for number in sorted(shards))


def _only(folder: Path, found: Sequence[Path]) -> Sequence[Path]:
    if len(found) > 1:
        names = " and ".join(entry.name for entry in found)
        raise DataError(f"{folder} has {names}; say which with data.train, data.validation and data.test")
    return found


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(Path(entry) for entry in os.scandir(folder) if not is_system_file(entry.name))
    except OSError as error:
        raise DataError(f"cannot read {folder}: {error.strerror or error}") from error


def _is_table(path: Path, formats: Formats) -> bool:
    return path.suffix.casefold() in formats.suffixes and path.is_file()


def _is_split_folder(path: Path) -> bool:
    if not path.is_dir():
        return False
    return metadata_file(path, Formats()) is not None or any(entry.is_dir() for entry in _entries(path))
