"""Says whose code an unexpected exception came from: which plugin, which component, which rows of data.

Errors that derive from ``HeadstockError`` are meant for users and need none of this.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from types import FrameType
from typing import Any

from headstock.interfaces import Component, Config
from headstock_registry import Catalogue, Entry, HeadstockError, load_catalogue

ROWS = "data in use: "
"""What a note on rows begins with."""
PLUGIN = "the code of plugin "
"""What a note on a plugin begins with."""
SHOWN = 3
"""How many rows a note names."""


def note_rows(error: Exception, rows: Iterable[str]) -> None:
    """Note on an exception which rows were in use, unless that has been said more exactly already."""
    if isinstance(error, HeadstockError) or notes(error):
        return
    named = iter(rows)
    first = list(islice(named, SHOWN))
    more = sum(1 for _ in named)
    error.add_note(f"{ROWS}{', '.join(first)}{f' and {more} more' if more else ''}")


def note_plugin(error: Exception, catalogue: Catalogue | None = None, command: Entry | None = None) -> None:
    """Note on an exception which plugin's code it came from, if it came from one.

    Args:
        error: With its traceback.
        catalogue: The installed plugins, if they are loaded already.
        command: The plugin's command that was running; named where no component of a recipe is at fault.
    """
    if isinstance(error, HeadstockError) or any(note.startswith(PLUGIN) for note in notes(error)):
        return
    catalogue = catalogue or load_catalogue()
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    found = next(filter(None, (_component(frame, catalogue) for frame in reversed(frames))), None)
    if found is not None:
        error.add_note(_said(found[0], f", method {found[1]}"))
    elif command is not None:
        error.add_note(_said(command, ""))


def notes(error: BaseException) -> list[str]:
    """Return what this module has noted on an exception: the plugin, then the rows."""
    found: list[str] = getattr(error, "__notes__", [])
    return sorted(note for note in found if note.startswith((PLUGIN, ROWS)))[::-1]


@contextmanager
def noting_plugin(catalogue: Catalogue | None = None) -> Iterator[None]:
    """Note on exceptions that leave this context which plugin's code they came from."""
    try:
        yield
    except Exception as error:
        note_plugin(error, catalogue)
        raise


def _said(entry: Entry, method: str) -> str:
    plugin = "unknown" if entry.source is None else f"'{entry.source.plugin}' ({entry.source})"
    return f"{PLUGIN}{plugin} failed: {entry}{method}"


def _component(frame: FrameType, catalogue: Catalogue) -> tuple[Entry, str] | None:
    """Return the installed component whose method a frame is, and the method's name."""
    code = frame.f_code
    if not code.co_argcount:
        return None
    first = frame.f_locals.get(code.co_varnames[0])
    cls = first if isinstance(first, type) else type(first)
    if not issubclass(cls, Component | Config) or not hasattr(cls, code.co_name):
        return None
    for base in cls.__mro__:
        for entry in catalogue.entries():
            target = _imported(entry)
            if base is not Config and base in (target, getattr(target, "Config", None)):
                return entry, code.co_name
    return None


def _imported(entry: Entry) -> Any:
    """Return what an entry names if it is imported already."""
    module, attribute = entry.target.split(":")
    return getattr(sys.modules.get(module), attribute, None)
