"""Counts the files in a folder that no row is made of, so that it can be said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePath

SHOWN = 8
"""How many kinds or names one note lists."""


class LeftOut:
    """What a walk over folders left out.

    Attributes:
        system: Names of hidden files and folders and those of a system, each with how often it was met.
        kinds: Endings of files that are not read, each with how many there are; ``""`` stands for no ending.
    """

    def __init__(self) -> None:
        self.system: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()

    def add_file(self, name: str) -> None:
        """Count a file of a kind that is not read."""
        self.kinds[PurePath(name).suffix.casefold()] += 1

    def add_system(self, names: Iterable[str]) -> None:
        """Count files or folders of a system."""
        self.system.update(names)

    def add(self, other: LeftOut) -> None:
        """Count what another walk left out."""
        self.system.update(other.system)
        self.kinds.update(other.kinds)

    def kinds_text(self) -> str:
        """Return the kinds of files with their counts, the most frequent first: ``6 .heic, 1 without an ending``."""
        ordered = sorted(self.kinds.items(), key=lambda item: (-item[1], item[0]))
        return _shortened([f"{count} {kind or 'without an ending'}" for kind, count in ordered])

    def notes(self, place: str) -> tuple[str, ...]:
        """Return a line for each of the two, where there is something to say.

        Args:
            place: The folder, for the message.
        """
        notes = []
        if self.kinds:
            total = self.kinds.total()
            notes.append(f"{place}: left out {total} {_files(total)} of kinds that are not read: {self.kinds_text()}")
        if self.system:
            total = self.system.total()
            names = _shortened([name if count == 1 else f"{name} ({count})" for name, count in self.system.items()])
            notes.append(f"{place}: left out {total} hidden or system {_files(total)} or {_folders(total)}: {names}")
        return tuple(notes)


def _shortened(parts: list[str]) -> str:
    more = f" and {len(parts) - SHOWN} more" if len(parts) > SHOWN else ""
    return ", ".join(parts[:SHOWN]) + more


def _files(count: int) -> str:
    return "file" if count == 1 else "files"


def _folders(count: int) -> str:
    return "folder" if count == 1 else "folders"
