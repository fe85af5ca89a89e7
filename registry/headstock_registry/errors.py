"""Errors that a person can act on: one clear line each, shown without a traceback, exit code 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

SHOWN = 8
"""How many names an error lists."""


class HeadstockError(Exception):
    """Base of every error that says what the user can change; the command line prints it as one line, exit code 2."""


class PluginError(HeadstockError):
    """An installed plugin cannot be used."""


class NameConflictError(PluginError):
    """Two installed distributions claim the same name for the same kind of entry."""


class UnknownNameError(HeadstockError):
    """A name that nothing installed answers to."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean …?"`` for the known names closest to ``name``, else a few of those that there are."""
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return "; did you mean " + " or ".join(close) + "?"
    if not names:
        return "; there are none"
    if len(names) <= SHOWN:
        return "; known: " + ", ".join(names)
    shown = difflib.get_close_matches(name, names, n=SHOWN, cutoff=0.0)
    return "; known: " + ", ".join(shown) + f" and {len(names) - SHOWN} more"
