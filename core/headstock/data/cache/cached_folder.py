"""Folders of the cache: made once, found again by name, and made anew where their files are not what was written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from headstock.atomic import (
    WriteError,
    discard,
    explain_write_errors,
    new_directory,
    remove_leftovers,
    write_text,
)
from headstock.console import tell
from headstock.data.cache.cache_dir import VARIABLE
from headstock.digests import damage, folder_digests, seal, unseal

SEAL = "digests.json"
"""File with the digests of all other files of a folder."""

ABANDONED = 24 * 3600.0
"""Seconds after which a folder that nobody has written to is taken for what a killed process left."""


class CacheError(WriteError):
    """The cache cannot be written: no room, no permission."""


def cached_folder(folder: Path, what: str, fill: Callable[[Path], None]) -> Path:
    """Return a folder of the cache whose files are, to the last byte, what was once written.

    One that is damaged is made anew, and the console says so. Reading all files for that costs about a second a
    gigabyte.

    Args:
        folder: Its place; its name says all that its content depends on.
        what: What is in it, for the message: ``train examples``.
        fill: Writes all files into an empty folder.

    Raises:
        CacheError: the folder cannot be read or written; nothing half-written is left.
    """
    with _explained(folder):
        if folder.exists():
            problem = _problem(folder)
            if problem is None:
                return folder
            tell(f"{what}: {folder} in the cache cannot be used ({problem}), so it is made anew")
            _take_away(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder.parent, ABANDONED)
        with new_directory(folder, keep_existing=True) as beside, explain_write_errors(folder):
            fill(beside)
            write_text(beside / SEAL, seal({"digests": folder_digests(beside)}))
    return folder


def _problem(folder: Path) -> str | None:
    """Return what is wrong with a folder's files; ``None`` if nothing is."""
    try:
        digests = unseal((folder / SEAL).read_bytes())["digests"]
    except PermissionError:
        raise
    except OSError as error:
        return f"{SEAL}: {error.strerror or error}"
    except (ValueError, KeyError):
        return f"{SEAL} is not what was written"
    return damage(folder, digests)


def _take_away(folder: Path) -> None:
    """Remove a damaged folder, unless another process has put a sound one there meanwhile."""
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        if folder.exists() and _problem(folder) is not None:
            discard(folder)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Say where the cache can be put when it cannot be read or written."""
    try:
        with explain_write_errors(folder):
            yield
    except WriteError as error:
        raise CacheError(f"{error}; set {VARIABLE} to a folder with room that can be written") from error
