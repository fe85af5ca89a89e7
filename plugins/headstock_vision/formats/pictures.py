"""Finds the pictures that annotations name, whatever machine the names come from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from headstock import DataError
from headstock.kits import is_system_file
from headstock_vision.tasks.image_column import SUFFIXES


class Pictures:
    """The pictures in some folders, the first folder first.

    Args:
        folders: Where to look; what is not there is passed over. Folders inside are looked through only for a picture
            that is nowhere else.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(folder for folder in dict.fromkeys(folders) if folder.is_dir())

    def named(self, name: str) -> Path | None:
        """Return the file of a name that an annotation has, or ``None``.

        The name may be a path of another machine, of Windows or of a web page (``images\\1.jpg``, ``a%20b.jpg``,
        ``/data/local-files/?d=1.jpg``), and in other case than the file's.
        """
        for variant in _variants(name):
            for folder in self.folders:
                if _is_file(folder / variant):
                    return folder / variant
        found = self._anywhere.get(_last(name).casefold(), ())
        return found[0] if len(found) == 1 else None

    def called(self, stem: str) -> list[Path]:
        """Return the pictures of this name with any ending that pictures have: those of the first folder with any."""
        for names in (*self._right_here, self._stems):
            found = names.get(stem.casefold(), [])
            if found:
                return [path for path in found if path.stem == stem] or found
        return []

    def all(self) -> list[Path]:
        """Return all pictures, those in folders inside among them."""
        return [path for paths in self._anywhere.values() for path in paths]

    @cached_property
    def _anywhere(self) -> dict[str, list[Path]]:
        paths = (path for folder in self.folders for path in _pictures_below(folder))
        return _grouped(dict.fromkeys(paths), lambda path: path.name)

    @cached_property
    def _stems(self) -> dict[str, list[Path]]:
        return _grouped(self.all(), lambda path: path.stem)

    @cached_property
    def _right_here(self) -> list[dict[str, list[Path]]]:
        """By folder the pictures right in it, by their names without ending and in lower case."""
        return [_grouped(visible(folder, *SUFFIXES), lambda path: path.stem) for folder in self.folders]


def visible(folder: Path, *suffixes: str) -> list[Path]:
    """Return the files right in a folder with one of these endings, sorted; hidden and system files are left out.

    Raises:
        DataError: the folder cannot be read.
    """
    files = (entry.name for entry in _entries(folder) if entry.is_file())
    return sorted(folder / name for name in files if os.path.splitext(name)[1].casefold() in suffixes)


def folders_in(folder: Path) -> list[Path]:
    """Return the folders right in a folder, sorted; hidden and system folders are left out.

    Raises:
        DataError: the folder cannot be read.
    """
    return sorted(folder / entry.name for entry in _entries(folder) if entry.is_dir())


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not is_system_file(entry.name)]
    except OSError as error:
        raise DataError(f"cannot read {folder}: {error.strerror or error}") from error


def _grouped(paths: Iterable[Path], name: Callable[[Path], str]) -> dict[str, list[Path]]:
    """Return paths by a name of theirs, in lower case."""
    groups: dict[str, list[Path]] = {}
    for path in paths:
        groups.setdefault(name(path).casefold(), []).append(path)
    return groups


def _variants(name: str) -> Iterator[str]:
    """Yield the names that a name may stand for, the likeliest first."""
    plain = name.strip()
    seen = dict.fromkeys((name, plain, plain.replace("\\", "/"), unquote(plain), unquote(plain).replace("\\", "/")))
    yield from (each for each in seen if each)
    yield _last(name)


def _last(name: str) -> str:
    """Return what follows the last separator, of a path or of a web address."""
    text = name.strip()
    if "?" in text:
        inside = parse_qs(urlsplit(text).query).get("d")
        text = inside[0] if inside else text
    return unquote(text.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1])


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # names that no file system has: too long, or with a zero byte
        return False


def _pictures_below(root: Path) -> Iterator[Path]:
    for parent, inside, names in os.walk(root):
        inside[:] = sorted(name for name in inside if not is_system_file(name))
        for name in sorted(names):
            if not is_system_file(name) and os.path.splitext(name)[1].casefold() in SUFFIXES:
                yield Path(parent) / name
