"""A folder for each class: ``root/<class>/file``. One row a file, its class is the name of the folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from headstock.data.columns import listed
from headstock.data.folders.left_out import LeftOut
from headstock.data.folders.system_files import is_system_file
from headstock.data.tables.arrow_rows import FileRows
from headstock.data.tables.arrow_table import ArrowTable, texts
from headstock.data.tables.values import plain
from headstock.interfaces import Column, DataError


def reads_class_folders(columns: Sequence[Column], need_targets: bool = True) -> bool:
    """Tell whether a task's data can be a folder for each class: it has one input, a file, and one class.

    Where targets are not needed, a folder of files will do for every task whose one input is a file.
    """
    return _file_column(columns) is not None and (_class_column(columns) is not None or not need_targets)


def read_class_folders(root: Path, columns: Sequence[Column], need_targets: bool) -> FileRows:
    """Return the files of all class folders, sorted by path.

    Hidden files, those of a system (:func:`headstock.data.folders.system_files.is_system_file`) and files with other
    endings than the column's are left out, which the rows' notes say. Of a file without an ending, the first bytes say
    what it is. Links are followed, each folder once. Where targets are not needed, ``root`` may hold files of no class;
    rows then have no class, and files may lie at any depth; files of a class lie right in its folder.

    Raises:
        DataError: the task does not read class folders, there are none, one has no file or has folders inside, or a
            file lies in none.
    """
    import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]

    source, target = _file_column(columns), _class_column(columns)
    if source is None or (target is None and need_targets):
        raise DataError(f"{root} is a folder, and this task reads files with the columns {_names(columns)}")
    left_out = LeftOut()
    folders, loose = _content(root, source.suffixes)
    paths: list[str] = []
    classes: list[str] = []
    if not need_targets and (loose or not folders or target is None):
        paths = list(_files(root, source.suffixes, left_out))
    else:
        _require_classes(root, folders, loose if source.suffixes else [])
        _count_loose(root, loose, left_out)
        for folder in folders:
            inside = LeftOut()
            files = list(_files(root / folder, source.suffixes, inside))
            if not files and need_targets:
                raise _none(root / folder, source.suffixes, inside)
            if need_targets:
                _require_flat(root / folder, files)
            left_out.add(inside)
            paths += files
            classes += [folder] * len(files)
    if not paths:
        raise _none(root, source.suffixes, left_out)
    content, sources = {"path": paths}, {source.name: "path"}
    if classes and target is not None:
        content["class"], sources[target.name] = classes, "class"
    dataset = ArrowTable(pa.Table.from_arrays([texts(values) for values in content.values()], names=list(content)))
    readers = dict.fromkeys(sources, plain)
    notes = left_out.notes(str(root))
    if need_targets and len(folders) == 1:
        notes = (f"{root}: there is one folder inside, {folders[0]}, so all files are of one class", *notes)
    return FileRows(str(root), dataset, sources, readers, notes)


def _file_column(columns: Sequence[Column]) -> Column | None:
    inputs = [column for column in columns if column.role == "input" and column.required]
    return inputs[0] if len(inputs) == 1 and inputs[0].content == "file" else None


def _class_column(columns: Sequence[Column]) -> Column | None:
    targets = [column for column in columns if column.role == "target" and column.required]
    return targets[0] if len(targets) == 1 and targets[0].stratify else None


def _content(root: Path, suffixes: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the names of the folders and of the fitting files right in ``root``."""
    try:
        entries = sorted((entry for entry in root.iterdir() if not is_system_file(entry.name)), key=lambda e: e.name)
        folders = [entry.name for entry in entries if entry.is_dir()]
    except OSError as error:
        raise DataError(f"cannot read {root}: {error.strerror}") from error
    return folders, [entry.name for entry in entries if entry.name not in folders and _fits(entry, suffixes)]


def _count_loose(root: Path, loose: Sequence[str], left_out: LeftOut) -> None:
    """Count what lies right in ``root`` beside the class folders."""
    for entry in sorted(root.iterdir()):
        if is_system_file(entry.name):
            left_out.add_system([entry.name])
        elif entry.name not in loose and not entry.is_dir():
            left_out.add_file(entry.name)


def _require_classes(root: Path, folders: Sequence[str], loose: Sequence[str]) -> None:
    if not folders:
        raise DataError(f"{root} has no folder for each class inside")
    if loose:
        raise DataError(f"{root / loose[0]} lies in no class folder; move it into one or away")


def _require_flat(folder: Path, files: Sequence[str]) -> None:
    """Refuse folders in a class folder: whether they or it are the classes cannot be told."""
    inside = sorted({Path(file).relative_to(folder).parts[0] for file in files if Path(file).parent != folder})
    if inside:
        raise DataError(
            f"{folder} has folders inside ({listed(inside)}), and the files of a class lie right in its folder; if "
            f"these are the classes, or splits, name {folder} itself; else move their files into {folder}"
        )


def _files(folder: Path, suffixes: Sequence[str], left_out: LeftOut) -> Iterator[str]:
    seen: set[tuple[int, int]] = set()
    found: list[Path] = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        status = os.stat(parent)
        if (status.st_dev, status.st_ino) in seen:  # a link back to where we have been
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        left_out.add_system(sorted(name for name in (*folders, *names) if is_system_file(name)))
        folders[:] = sorted(name for name in folders if not is_system_file(name))
        for path in (Path(parent) / name for name in names if not is_system_file(name)):
            if _fits(path, suffixes):
                found.append(path)
            else:
                left_out.add_file(path.name)
    return (str(path) for path in sorted(found))


def _fits(path: Path, suffixes: Sequence[str]) -> bool:
    """Tell whether a file is of one of these kinds, by its ending or, without one, by how its content begins."""
    if not suffixes:
        return True
    ending = path.suffix.casefold() or _ending_of_content(path)
    return ending in {suffix.casefold() for suffix in suffixes}


def _ending_of_content(path: Path) -> str:
    """Return the ending that a file without one should have; none where it is not known, or is no regular file."""
    import filetype

    try:
        found = filetype.guess_extension(str(path)) if path.is_file() else None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    return f".{found}" if found else ""


def _none(folder: Path, suffixes: Sequence[str], left_out: LeftOut) -> DataError:
    holds = f"; it holds {left_out.kinds_text()}" if left_out.kinds else ""
    return DataError(f"{folder} holds no file{_ending(suffixes)}{holds}")


def _ending(suffixes: Sequence[str]) -> str:
    return f" that ends in {', '.join(suffixes)}" if suffixes else ""


def _names(columns: Sequence[Column]) -> str:
    return ", ".join(column.name for column in columns if column.required)
