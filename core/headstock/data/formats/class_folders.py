"""A folder for each class: ``root/<class>/**/file``. One row a file, its class is the name of the folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from headstock.data.arrow_rows import FileRows
from headstock.data.values import plain
from headstock.interfaces import Column, DataError


def reads_class_folders(columns: Sequence[Column]) -> bool:
    """Tell whether a task's data can be a folder for each class: it has one input, a file, and one class."""
    return _file_column(columns) is not None and _class_column(columns) is not None


def read_class_folders(root: Path, columns: Sequence[Column], need_targets: bool) -> FileRows:
    """Return the files of all class folders, sorted by path.

    Hidden files and folders are left out, and so are files with other endings than the column's. Links are followed,
    each folder once. Where targets are not needed, ``root`` may hold files of no class; rows then have no class.

    Raises:
        DataError: the task does not read class folders, there are none, one has no file, or a file lies in none.
    """
    from datasets import Dataset, Features, Value

    source, target = _file_column(columns), _class_column(columns)
    if source is None or (target is None and need_targets):
        raise DataError(f"{root} is a folder, and this task reads files with the columns {_names(columns)}")
    folders, loose = _content(root, source.suffixes)
    paths: list[str] = []
    classes: list[str] = []
    if not need_targets and (loose or not folders or target is None):
        paths = list(_files(root, source.suffixes))
    else:
        _require_classes(root, folders, loose if source.suffixes else [])
        for folder in folders:
            files = list(_files(root / folder, source.suffixes))
            if not files:
                raise DataError(f"{root / folder} holds no file{_ending(source.suffixes)}")
            paths += files
            classes += [folder] * len(files)
    if not paths:
        raise DataError(f"{root} holds no file{_ending(source.suffixes)}")
    content, sources = {"path": paths}, {source.name: "path"}
    if classes and target is not None:
        content["class"], sources[target.name] = classes, "class"
    dataset = Dataset.from_dict(content, features=Features({name: Value("large_string") for name in content}))
    return FileRows(str(root), dataset.with_format("arrow"), sources, dict.fromkeys(sources, plain))


def _file_column(columns: Sequence[Column]) -> Column | None:
    inputs = [column for column in columns if column.role == "input" and column.required]
    return inputs[0] if len(inputs) == 1 and inputs[0].content == "file" else None


def _class_column(columns: Sequence[Column]) -> Column | None:
    targets = [column for column in columns if column.role == "target" and column.required]
    return targets[0] if len(targets) == 1 and targets[0].stratify else None


def _content(root: Path, suffixes: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the names of the folders and of the files right in ``root``."""
    try:
        entries = sorted((entry for entry in root.iterdir() if not entry.name.startswith(".")), key=lambda e: e.name)
    except OSError as error:
        raise DataError(f"cannot read {root}: {error.strerror}") from error
    folders = [entry.name for entry in entries if entry.is_dir()]
    return folders, [entry.name for entry in entries if entry.name not in folders and _fits(entry.name, suffixes)]


def _require_classes(root: Path, folders: Sequence[str], loose: Sequence[str]) -> None:
    if not folders:
        raise DataError(f"{root} has no folder for each class inside")
    if loose:
        raise DataError(f"{root / loose[0]} lies in no class folder; move it into one or away")


def _files(folder: Path, suffixes: Sequence[str]) -> Iterator[str]:
    seen: set[tuple[int, int]] = set()
    found: list[Path] = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        status = os.stat(parent)
        if (status.st_dev, status.st_ino) in seen:  # a link back to where we have been
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(parent) / name for name in names if not name.startswith(".") and _fits(name, suffixes)]
    return (str(path) for path in sorted(found))


def _fits(name: str, suffixes: Sequence[str]) -> bool:
    return not suffixes or name.casefold().endswith(tuple(suffix.casefold() for suffix in suffixes))


def _ending(suffixes: Sequence[str]) -> str:
    return f" that ends in {', '.join(suffixes)}" if suffixes else ""


def _names(columns: Sequence[Column]) -> str:
    return ", ".join(column.name for column in columns if column.required)
