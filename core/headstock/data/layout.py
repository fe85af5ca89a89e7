"""Finds splits in a folder by the names of what is inside: train.csv, valid.jsonl, test/ …"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from headstock.data.config import SPLITS, Format, SplitName
from headstock.data.system_files import is_system_file
from headstock.interfaces import DataError

ALIASES: Mapping[SplitName, tuple[str, ...]] = {
    "train": ("train",),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}
"""Names under which a split is known."""

SUFFIXES: Mapping[Format, tuple[str, ...]] = {
    "csv": (".csv",),
    "tsv": (".tsv",),
    "jsonl": (".jsonl", ".ndjson", ".json"),
    "parquet": (".parquet",),
    "conll": (".conll", ".iob", ".bio"),
}
"""Endings of files, by format."""

METADATA = "metadata"
"""Beginning of the name of the file that describes the media files of a folder, as the datasets library calls it."""


def format_of(path: Path, chosen: Format) -> Format:
    """Return a file's format: the chosen one, or with ``auto`` what its ending says.

    Raises:
        DataError: the ending says nothing.
    """
    if chosen == "folder":
        raise DataError(f"{path} is a file; data.format=folder reads folders")
    if chosen != "auto":
        return chosen
    for name, suffixes in SUFFIXES.items():
        if path.suffix.casefold() in suffixes:
            return name
    endings = ", ".join(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
    raise DataError(f"{path}: the format is not clear from its ending ({endings} are); set data.format")


def suffixes_of(chosen: Format) -> tuple[str, ...]:
    """Return the endings that files in a folder may have; with a format given, ``.txt`` is one of them."""
    if chosen == "folder":
        return ()
    if chosen == "auto":
        return tuple(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
    return (*SUFFIXES[chosen], ".txt")


def find_splits(folder: Path, chosen: Format) -> dict[SplitName, Path]:
    """Return the splits that lie in a folder as files or folders; a file goes before a folder of the same name.

    A folder is a split only if it has folders (the classes) or a metadata file inside; otherwise it is a class that
    happens to be called so.

    Raises:
        DataError: a split is there twice, or the folder cannot be read.
    """
    entries = _entries(folder)
    splits: dict[SplitName, Path] = {}
    for split in SPLITS:
        files = [entry for entry in entries if _is_split_file(entry, ALIASES[split], chosen)]
        folders = [entry for entry in entries if entry.name.casefold() in ALIASES[split] and _is_split_folder(entry)]
        found = files or folders
        if len(found) > 1:
            names = " and ".join(entry.name for entry in found)
            raise DataError(f"{folder} has {names}; say which with data.train, data.validation and data.test")
        if found:
            splits[split] = found[0]
    return splits


def metadata_file(folder: Path, chosen: Format) -> Path | None:
    """Return the file that describes a folder's media files, if it has one.

    Raises:
        DataError: it has more than one.
    """
    found = [entry for entry in _entries(folder) if _is_split_file(entry, (METADATA,), chosen)]
    if len(found) > 1:
        raise DataError(f"{folder} has {' and '.join(entry.name for entry in found)}; keep one of them")
    return found[0] if found else None


def pick_alias(split: SplitName, names: Collection[str], where: str, option: str) -> str | None:
    """Return the one of ``names`` that stands for a split.

    Raises:
        DataError: more than one does.
    """
    found = [name for name in names if name.casefold() in ALIASES[split]]
    if len(found) > 1:
        raise DataError(f"{where} has the splits {' and '.join(found)}; say which with {option}")
    return found[0] if found else None


def is_split_name(name: str) -> bool:
    """Tell whether a name is that of a split."""
    return any(name.casefold() in aliases for aliases in ALIASES.values())


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(Path(entry) for entry in os.scandir(folder) if not is_system_file(entry.name))
    except OSError as error:
        raise DataError(f"cannot read {folder}: {error.strerror or error}") from error


def _is_split_file(path: Path, stems: Collection[str], chosen: Format) -> bool:
    fits = path.suffix.casefold() in suffixes_of(chosen) and path.stem.casefold() in stems
    return fits and path.is_file()


def _is_split_folder(path: Path) -> bool:
    if not path.is_dir():
        return False
    return metadata_file(path, "auto") is not None or any(entry.is_dir() for entry in _entries(path))
