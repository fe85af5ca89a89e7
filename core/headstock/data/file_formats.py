"""Formats of files: which there are, and which one a file is in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headstock.interfaces import DataError
from headstock_registry import nearest

SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "csv": (".csv",),
    "tsv": (".tsv",),
    "jsonl": (".jsonl", ".ndjson", ".json"),
    "parquet": (".parquet",),
}
"""Endings of files, by format."""

_PACKED = "is compressed; unpack it first"
_SHEET = "is a spreadsheet; save its sheet as CSV"
ADVICE: Mapping[str, str] = {
    **dict.fromkeys((".gz", ".zip", ".bz2", ".xz", ".zst", ".7z", ".rar", ".tar", ".tgz"), _PACKED),
    **dict.fromkeys((".xlsx", ".xls", ".ods", ".numbers"), _SHEET),
    **dict.fromkeys((".pkl", ".pickle", ".npy", ".npz", ".pt"), "can run code or has no columns; save it as CSV"),
    **dict.fromkeys((".arrow", ".feather"), "is an Arrow file; save it as Parquet"),
}
"""What to do with files of formats that are not read, by ending."""

AUTO = "auto"
FOLDER = "folder"


@dataclass(frozen=True)
class Formats:
    """The formats that files of a task may have.

    Attributes:
        chosen: The format that the user chose; ``auto``: what a file's ending says.
        own: The task's own formats with their endings, as :attr:`headstock.Task.formats`.
    """

    chosen: str = AUTO
    own: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def check(self) -> None:
        """Raise :class:`DataError` for a choice that there is not."""
        known = [AUTO, *SUFFIXES, *self.own, FOLDER]
        if self.chosen not in known:
            raise DataError(
                f"data.format={self.chosen}: this task reads no such format{nearest(self.chosen, known)}; "
                f"it reads: {', '.join(known)}"
            )

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Endings that files in a folder may have; with a format chosen, ``.txt`` is one of them."""
        if self.chosen == FOLDER:
            return ()
        endings = {**SUFFIXES, **self.own}
        if self.chosen == AUTO:
            return tuple(suffix for suffixes in endings.values() for suffix in suffixes)
        return (*endings[self.chosen], ".txt")

    def of(self, path: Path) -> str:
        """Return a file's format.

        Raises:
            DataError: the ending says nothing.
        """
        if self.chosen == FOLDER:
            raise DataError(f"{path} is a file; data.format=folder reads folders")
        if self.chosen != AUTO:
            return self.chosen
        for name, suffixes in {**SUFFIXES, **self.own}.items():
            if path.suffix.casefold() in suffixes:
                return name
        advice = ADVICE.get(path.suffix.casefold())
        if advice is not None:
            raise DataError(f"{path} {advice}")
        raise DataError(
            f"{path}: the format is not clear from its ending ({', '.join(self.suffixes)} are); set data.format"
        )
