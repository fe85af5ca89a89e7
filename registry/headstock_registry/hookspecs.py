"""The hooks that a plugin can implement. There is one."""

from __future__ import annotations

from collections.abc import Sequence

import pluggy

from headstock_registry.entries import Entry

PROJECT = "headstock"
"""pluggy's project name and the entry-point group in which plugins register their module."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def headstock_entries() -> Sequence[Entry]:
    """Return one :class:`Entry` for each component of this plugin. Must be quick and import nothing heavy."""
    raise NotImplementedError
