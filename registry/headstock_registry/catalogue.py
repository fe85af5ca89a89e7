"""All entries of all installed plugins, who brought each, and which plugins failed and why."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from headstock_registry.entries import Entry, Source
from headstock_registry.errors import NameConflictError, PluginError, UnknownNameError, nearest


class PluginRecord(BaseModel):
    """One installed plugin. ``problem`` says why it cannot be used and what to do; ``None`` when it is sound."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Source
    entries: tuple[Entry, ...] = ()
    problem: str | None = None


class Conflict(BaseModel):
    """A name that more than one plugin claims; it cannot be used until only one of them is installed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    name: str
    sources: tuple[Source, ...]

    def __str__(self) -> str:
        claims = " and ".join(f"{source} (plugin '{source.plugin}')" for source in self.sources)
        return f"{self.kind} '{self.name}' is claimed by {claims}; uninstall one of them"


class Catalogue:
    """Entries by kind and name."""

    def __init__(self, plugins: Sequence[PluginRecord]) -> None:
        self.plugins = tuple(plugins)
        claims: dict[tuple[str, str], list[Entry]] = {}
        for plugin in self.plugins:
            for entry in plugin.entries:
                claims.setdefault((entry.kind, entry.name), []).append(entry)
        self._entries = {key: found[0] for key, found in sorted(claims.items()) if len(found) == 1}
        self._conflicts = {
            key: Conflict(
                kind=key[0], name=key[1], sources=tuple(entry.source for entry in found if entry.source is not None)
            )
            for key, found in sorted(claims.items())
            if len(found) > 1
        }

    @property
    def conflicts(self) -> tuple[Conflict, ...]:
        """Names that more than one plugin claims."""
        return tuple(self._conflicts.values())

    @property
    def failures(self) -> tuple[PluginRecord, ...]:
        """Installed plugins that cannot be used."""
        return tuple(plugin for plugin in self.plugins if plugin.problem is not None)

    def entries(self, kind: str | None = None) -> tuple[Entry, ...]:
        """Return the usable entries of one kind (or of all), sorted by kind and name."""
        return tuple(entry for entry in self._entries.values() if kind is None or entry.kind == kind)

    def names(self, kind: str) -> tuple[str, ...]:
        """Return the usable names of one kind, sorted."""
        return tuple(entry.name for entry in self.entries(kind))

    def get(self, kind: str, name: str) -> Entry:
        """Return one entry.

        Raises:
            NameConflictError: more than one plugin claims the name.
            UnknownNameError: nothing installed has the name; the message gives the nearest names.
        """
        conflict = self._conflicts.get((kind, name))
        if conflict is not None:
            raise NameConflictError(str(conflict))
        entry = self._entries.get((kind, name))
        if entry is None:
            raise UnknownNameError(f"no {kind} named '{name}' is installed{nearest(name, self.names(kind))}")
        return entry

    def find(self, name: str) -> tuple[Entry, ...]:
        """Return the entries of any kind that have this name.

        Raises:
            NameConflictError: the name is claimed twice for one kind.
            UnknownNameError: nothing has the name.
        """
        for (_, claimed), conflict in self._conflicts.items():
            if claimed == name:
                raise NameConflictError(str(conflict))
        found = tuple(entry for entry in self.entries() if entry.name == name)
        if not found:
            known = (entry.name for entry in self.entries())
            raise UnknownNameError(f"nothing named '{name}' is installed{nearest(name, known)}")
        return found

    def check(self) -> None:
        """Raise :class:`PluginError` for the first failed plugin or name conflict (what ``--strict`` asks for)."""
        for plugin in self.failures:
            raise PluginError(f"plugin '{plugin.source.plugin}' of {plugin.source}: {plugin.problem}")
        for conflict in self.conflicts:
            raise NameConflictError(str(conflict))

    def resolve(self, entry: Entry) -> Any:
        """Import an entry's target and return it.

        Raises:
            PluginError: the module does not import or lacks the attribute.
        """
        module_name, attribute = entry.target.split(":")
        try:
            return getattr(importlib.import_module(module_name), attribute)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # sys.exit() and panics of native extensions are no way to end a command
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise PluginError(f"{entry} of {entry.source}: cannot import {entry.target} ({reason})") from error
