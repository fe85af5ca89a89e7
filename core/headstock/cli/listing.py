"""``headstock tasks``, ``backbones``, ``adapters`` and ``plugins``: what is installed, and who brought it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click

from headstock.cli.commands import Shell, pass_shell
from headstock.cli.output import one_line, print_json, print_table
from headstock_registry import Entry, NameConflictError, PluginRecord

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")


@click.command()
@as_json_option
@pass_shell
def tasks(shell: Shell, as_json: bool) -> None:
    """List the installed tasks."""
    _print_entries(shell, "task", as_json)


@click.command()
@as_json_option
@pass_shell
def backbones(shell: Shell, as_json: bool) -> None:
    """List the installed backbones."""
    _print_entries(shell, "backbone", as_json)


@click.command()
@as_json_option
@pass_shell
def adapters(shell: Shell, as_json: bool) -> None:
    """List the installed adapters."""
    _print_entries(shell, "adapter", as_json)


@click.command()
@as_json_option
@pass_shell
def plugins(shell: Shell, as_json: bool) -> None:
    """List the installed plugins: what each brings, and what is wrong with it."""
    records = [_plugin_record(shell, plugin) for plugin in shell.catalogue.plugins]
    if as_json:
        print_json(records)
        return
    rows = [
        (
            record["plugin"],
            record["distribution"],
            record["version"],
            ", ".join(f"{count} {kind}" for kind, count in record["entries"].items()) or "none",
            one_line("; ".join([*filter(None, [record["problem"]]), *record["conflicts"]])) or "ok",
        )
        for record in records
    ]
    print_table(("plugin", "distribution", "version", "entries", "status"), rows)


def entry_record(entry: Entry) -> dict[str, Any]:
    """Return an entry as JSON values, flat."""
    record = entry.model_dump(mode="json", exclude={"source"})
    source = entry.source
    origin = (
        {"distribution": None, "version": None, "plugin": None} if source is None else source.model_dump(mode="json")
    )
    return {**record, **origin}


def _print_entries(shell: Shell, kind: str, as_json: bool) -> None:
    shell.warn()
    entries = shell.catalogue.entries(kind)
    if as_json:
        print_json([entry_record(entry) for entry in entries])
    else:
        rows = [(entry.name, entry.modality or "any", entry.summary, str(entry.source)) for entry in entries]
        print_table(("name", "modality", "summary", "from"), rows)
    conflicts = shell.conflicts(kind)
    if conflicts:
        raise NameConflictError("; ".join(conflicts.values()))


def _plugin_record(shell: Shell, plugin: PluginRecord) -> dict[str, Any]:
    claimed = {(entry.kind, entry.name) for entry in plugin.entries}
    kinds = sorted({kind for kind, _ in claimed})
    return {
        **plugin.source.model_dump(mode="json"),
        "entries": dict(sorted(Counter(kind for kind, _ in claimed).items())),
        "problem": plugin.problem,
        "conflicts": [
            line for kind in kinds for name, line in shell.conflicts(kind).items() if (kind, name) in claimed
        ],
    }
