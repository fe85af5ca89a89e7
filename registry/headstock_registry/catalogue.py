"""All entries of all installed plugins: which name means which, and what cannot be used and why."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from headstock_registry.entries import KINDS, Entry, Source, normalized
from headstock_registry.errors import NameConflictError, PluginError, UnknownNameError, nearest

OWN: Final = "headstock"
"""The distribution whose components keep their short names whatever else is installed."""


class LeftOut(BaseModel):
    """An entry that cannot be used though the rest of its plugin can; ``reason`` says why and what to do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    name: str
    source: Source
    reason: str

    def __str__(self) -> str:
        return f"{self.kind} '{self.name}' of {self.source}"


class PluginRecord(BaseModel):
    """One installed plugin.

    Attributes:
        source: Its name and distribution.
        entries: What it brings that can be used.
        left_out: What it brings for another version of Headstock.
        problem: Why nothing of it can be used and what to do; ``None`` when it is sound.
        mentions: Names that the code of a plugin with a ``problem`` mentions, so that a missing name can be traced.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Source
    entries: tuple[Entry, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    problem: str | None = None
    mentions: frozenset[str] = frozenset()


class Conflict(BaseModel):
    """A name that more than one plugin claims.

    Attributes:
        kind: Of what.
        name: The short name.
        sources: Who claims it, the ``owner`` first if there is one.
        owner: Who keeps the short name: Headstock itself, or nobody.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    name: str
    sources: tuple[Source, ...]
    owner: Source | None = None

    def __str__(self) -> str:
        claimed = f"{self.kind} '{self.name}'"
        if self.owner is not None:
            losers = [source for source in self.sources if source != self.owner]
            names = " and ".join(f"{self._qualified(source)} (from {source})" for source in losers)
            return f"{claimed} is headstock's own; to use the other, name it {names}"
        claims = " and ".join(f"{source} (plugin '{source.plugin}')" for source in self.sources)
        if len({normalized(source.distribution) for source in self.sources}) < len(self.sources):
            return f"{claimed} is claimed by {claims}; a distribution can have a name once: uninstall one or report it"
        choices = " or ".join(map(self._qualified, self.sources))
        return f"{claimed} is claimed by {claims}; name it {choices}"

    def _qualified(self, source: Source) -> str:
        return f"{normalized(source.distribution)}:{self.name}"


class Catalogue:
    """Entries by kind and name.

    A name that one plugin claims means that plugin's entry. Of a name that several claim, what comes with Headstock
    keeps the short name, and everything else is only to be had by its qualified name, ``distribution:name``.
    """

    def __init__(self, plugins: Sequence[PluginRecord]) -> None:
        self.plugins = tuple(plugins)
        claims: dict[tuple[str, str], list[Entry]] = {}
        for plugin in self.plugins:
            for entry in plugin.entries:
                claims.setdefault((entry.kind, entry.name), []).append(entry)
        self._conflicts: dict[tuple[str, str], Conflict] = {}
        self._short: dict[tuple[str, str], Entry] = {}
        self._qualified: dict[tuple[str, str], Entry] = {}
        for key, found in sorted(claims.items()):
            self._settle(key, found)
        named = {(kind, self.name(entry)): entry for (kind, _), entry in self._qualified.items()}
        self._entries = dict(sorted(named.items()))

    def _settle(self, key: tuple[str, str], found: Sequence[Entry]) -> None:
        """Decide whose a name is."""
        unique = [entry for entry in found if [other.qualified for other in found].count(entry.qualified) == 1]
        self._qualified |= {(entry.kind, entry.qualified): entry for entry in unique}
        own = [entry for entry in unique if entry.source is not None and normalized(entry.source.distribution) == OWN]
        if len(found) == 1 or own:
            self._short[key] = (own or found)[0]
        if len(found) > 1:
            owner = own[0].source if own else None
            sources = sorted((each.source for each in found if each.source is not None), key=lambda each: each != owner)
            self._conflicts[key] = Conflict(kind=key[0], name=key[1], sources=tuple(sources), owner=owner)

    @property
    def conflicts(self) -> tuple[Conflict, ...]:
        """Names that more than one plugin claims."""
        return tuple(self._conflicts.values())

    @property
    def failures(self) -> tuple[PluginRecord, ...]:
        """Installed plugins of which nothing can be used."""
        return tuple(plugin for plugin in self.plugins if plugin.problem is not None)

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """Entries that cannot be used, of plugins that can."""
        return tuple(entry for plugin in self.plugins for entry in plugin.left_out)

    def entries(self, kind: str | None = None) -> tuple[Entry, ...]:
        """Return the usable entries of one kind (or of all), sorted by kind and :meth:`name`."""
        return tuple(entry for entry in self._entries.values() if kind is None or entry.kind == kind)

    def names(self, kind: str) -> tuple[str, ...]:
        """Return the names of one kind's usable entries, sorted, as a recipe has to write them."""
        return tuple(name for found, name in self._entries if found == kind)

    def name(self, entry: Entry) -> str:
        """Return what to call an entry: its name, or its qualified name where the short one means another or none."""
        return entry.name if self._short.get((entry.kind, entry.name)) == entry else entry.qualified

    def get(self, kind: str, name: str) -> Entry:
        """Return one entry by its name or its qualified name, ``distribution:name``.

        Raises:
            NameConflictError: more than one plugin claims the name; the message gives the qualified names.
            UnknownNameError: nothing usable has the name; the message says which unusable plugin brings it, else it
                gives the nearest names.
        """
        distribution, _, short = name.rpartition(":")
        if distribution:
            entry = self._qualified.get((kind, f"{normalized(distribution)}:{short}"))
        else:
            entry = self._short.get((kind, name))
        if entry is not None:
            return entry
        conflict = self._conflicts.get((kind, short))
        if conflict is not None and (not distribution or normalized(distribution) in _distributions(conflict)):
            raise NameConflictError(str(conflict))
        raise self.missing(kind, name, f"no {kind} named '{name}' is installed", self.names(kind))

    def find(self, name: str) -> tuple[Entry, ...]:
        """Return the entries of any kind that have this name or qualified name.

        Raises:
            NameConflictError: the name is claimed by several plugins and by nothing of Headstock.
            UnknownNameError: nothing usable has the name.
        """
        kinds = sorted({kind for kind, _ in (*self._qualified, *self._conflicts)})
        found: list[Entry] = []
        for kind in kinds:
            try:
                found.append(self.get(kind, name))
            except UnknownNameError:
                continue
        if not found:
            known = [known for _, known in self._entries]
            raise self.missing(None, name, f"nothing named '{name}' is installed", known)
        return tuple(found)

    def check(self) -> None:
        """Raise for the first plugin, entry or name that is not as it should be (what ``--strict`` asks for).

        Raises:
            PluginError: a plugin or an entry cannot be used.
            NameConflictError: more than one plugin claims a name.
        """
        for plugin in self.failures:
            raise PluginError(f"plugin '{plugin.source.plugin}' of {plugin.source}: {plugin.problem}")
        for entry in self.left_out:
            raise PluginError(f"{entry}: {entry.reason}")
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

    def missing(self, kind: str | None, name: str, message: str, known: Sequence[str]) -> UnknownNameError:
        """Return the error for a name that nothing usable has.

        Args:
            kind: The kind of entry that is wanted; ``None``: any.
            name: The name, which may be qualified.
            message: What the error says first.
            known: Names that there are. The nearest are given, unless an unusable entry has the very name: then the
                error says why it is unusable. It says, too, which plugins cannot be loaded and mention the name.
        """
        distribution, _, short = name.rpartition(":")
        suspects = [
            plugin
            for plugin in self.plugins
            if not distribution or normalized(plugin.source.distribution) == normalized(distribution)
        ]
        brought = [
            f"it is brought by plugin '{entry.source.plugin}' of {entry.source} and {entry.reason}"
            for plugin in suspects
            for entry in plugin.left_out
            if entry.name == short and (kind in (None, entry.kind) or entry.kind not in KINDS)
        ]
        if distribution and not suspects:
            installed = {normalized(plugin.source.distribution) for plugin in self.plugins}
            brought.append(f"there is no plugin of a distribution '{distribution}'{nearest(distribution, installed)}")
        mentioned = [
            f"; plugin '{plugin.source.plugin}' of {plugin.source}, which cannot be loaded ({plugin.problem}), "
            "mentions it"
            for plugin in suspects
            if plugin.problem is not None and short in plugin.mentions
        ]
        advice = f": {'; '.join(brought)}" if brought else nearest(name, known)
        return UnknownNameError(f"{message}{advice}{''.join(mentioned)}")


def _distributions(conflict: Conflict) -> set[str]:
    return {normalized(source.distribution) for source in conflict.sources}
