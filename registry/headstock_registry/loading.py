"""Finds plugins through entry points, one guarded step at a time, so that a broken one never stops a command.

pluggy's own ``load_setuptools_entrypoints`` is not used: it lets one failing import end the process, and a second
distribution that reuses an entry-point name vanishes without a word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from importlib import metadata

import pluggy
from pydantic import ValidationError

from headstock_registry import hookspecs
from headstock_registry.catalogue import Catalogue, LeftOut, PluginRecord
from headstock_registry.entries import KINDS, SUPPORTED_API_VERSIONS, Entry, Source
from headstock_registry.mentions import names_in

UNKNOWN = "unknown"
"""Stands for the distribution and version of a plugin whose metadata cannot be read."""


def load_catalogue(entry_points: Iterable[metadata.EntryPoint] | None = None) -> Catalogue:
    """Load every plugin of the entry-point group ``headstock`` (or the given ones) and return the catalogue.

    Never raises for a broken plugin: it is recorded with its distribution, version and the reason.
    """
    found = metadata.entry_points(group=hookspecs.PROJECT) if entry_points is None else entry_points
    sourced = [(_source(point), point) for point in found]
    sourced.sort(key=lambda pair: (pair[0].distribution, pair[0].plugin))
    return Catalogue([_load(source, point) for source, point in sourced])


def _source(point: metadata.EntryPoint) -> Source:
    """Return who brought an entry point: ``unknown`` when it was made by hand or its distribution is damaged."""
    unknown = Source(plugin=point.name, distribution=UNKNOWN, version=UNKNOWN)
    if point.dist is None:
        return unknown
    try:
        facts = point.dist.metadata
        return Source(plugin=point.name, distribution=facts["Name"], version=facts["Version"])
    except (KeyError, TypeError, ValueError, metadata.PackageNotFoundError):  # which one depends on Python's version
        return unknown


def _load(source: Source, point: metadata.EntryPoint) -> PluginRecord:
    if point.dist is not None and source.distribution == UNKNOWN:
        problem = f"the metadata of the distribution that brings {point.value} cannot be read; install it again"
        return PluginRecord(source=source, problem=problem, mentions=names_in(point.module))
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(point.load(), name=point.name)
        manager.check_pending()  # a hook that does not exist, say a misspelt one, is an error
        implemented = bool(manager.hook.headstock_entries.get_hookimpls())
        answers = manager.hook.headstock_entries()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # sys.exit() and panics of native extensions must not end the command either
        return PluginRecord(source=source, problem=_reason(error), mentions=names_in(point.module))
    if not implemented:
        problem = f"{point.value} implements no hook; decorate headstock_entries() with headstock.hookimpl"
        return PluginRecord(source=source, problem=problem)
    return _record(source, answers[0] if answers else None)


def _reason(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        problems = [
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}, got {item['input']!r}" for item in error.errors()
        ]
        return f"{error.title} is not valid: {'; '.join(problems)}"
    return f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}"


def _record(source: Source, answer: Sequence[Entry] | None) -> PluginRecord:
    if not isinstance(answer, list | tuple) or not all(isinstance(entry, Entry) for entry in answer):
        return PluginRecord(source=source, problem="headstock_entries() must return a list of headstock.Entry")
    repeated = [claimed for claimed, times in Counter(map(str, answer)).items() if times > 1]
    if repeated:
        return PluginRecord(source=source, problem=f"headstock_entries() lists {', '.join(repeated)} more than once")
    entries: list[Entry] = []
    left_out: list[LeftOut] = []
    for entry in answer:
        reason = _incompatible(entry, source)
        if reason is None:
            entries.append(entry.model_copy(update={"source": source}))
        else:
            left_out.append(LeftOut(kind=entry.kind, name=entry.name, source=source, reason=reason))
    return PluginRecord(source=source, entries=tuple(entries), left_out=tuple(left_out))


def _incompatible(entry: Entry, source: Source) -> str | None:
    """Return why an entry cannot be used by this version of Headstock, ``None`` if it can."""
    oldest, newest = SUPPORTED_API_VERSIONS[0], SUPPORTED_API_VERSIONS[-1]
    if entry.api_version not in SUPPORTED_API_VERSIONS:
        offered = f"version {oldest}" if oldest == newest else f"versions {oldest} to {newest}"
        advice = "upgrade headstock" if entry.api_version > newest else f"upgrade {source.distribution}"
        return f"needs plugin API {entry.api_version}, this headstock offers {offered}; {advice}"
    if entry.kind not in KINDS:
        return f"is of unknown kind '{entry.kind}'; known: {', '.join(KINDS)}"
    return None
