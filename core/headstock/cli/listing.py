"""``headstock tasks``, ``backbones``, ``adapters``, ``methods``, ``plugins``: what is installed, and who brought it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any

import click

from headstock.cli.commands import Shell, pass_shell
from headstock.cli.output import one_line, print_json, print_table, warn
from headstock_registry import Entry, PluginError, PluginRecord

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
def methods(shell: Shell, as_json: bool) -> None:
    """List the installed training methods."""
    _print_entries(shell, "method", as_json)


@click.command()
@click.option("--import", "imports", is_flag=True, help="Import all that they bring, and say what cannot be used.")
@as_json_option
@pass_shell
def plugins(shell: Shell, imports: bool, as_json: bool) -> None:
    """List the installed plugins: what each brings, and what is wrong with it.

    With --import the exit code is 1 when something cannot be loaded or imported.
    """
    records = [_plugin_record(shell, plugin, imports) for plugin in shell.catalogue.plugins]
    if as_json:
        print_json(records)
    else:
        _print_plugins(records)
    if imports and any(record["problem"] or record["left_out"] or record["import_errors"] for record in records):
        raise click.exceptions.Exit(1)


def _print_plugins(records: Sequence[dict[str, Any]]) -> None:
    rows = [
        (
            record["plugin"],
            record["distribution"],
            record["version"],
            ", ".join(f"{count} {kind}" for kind, count in record["entries"].items()) or "none",
            one_line("; ".join(_troubles(record))) or "ok",
        )
        for record in records
    ]
    print_table(("plugin", "distribution", "version", "entries", "status"), rows)


def _troubles(record: dict[str, Any]) -> list[str]:
    left_out = [f"{entry['kind']} '{entry['name']}' is left out: {entry['reason']}" for entry in record["left_out"]]
    return [*filter(None, [record["problem"]]), *left_out, *record["conflicts"], *record.get("import_errors", [])]


def entry_record(shell: Shell, entry: Entry) -> dict[str, Any]:
    """Return an entry as JSON values, flat; ``name`` is what to call it on the command line and in a recipe."""
    record = entry.model_dump(mode="json", exclude={"source"}) | {"name": shell.name(entry)}
    source = entry.source
    origin = (
        {"distribution": None, "version": None, "plugin": None} if source is None else source.model_dump(mode="json")
    )
    return {**record, **origin}


def _print_entries(shell: Shell, kind: str, as_json: bool) -> None:
    shell.warn()
    entries = shell.catalogue.entries(kind)
    if as_json:
        print_json([entry_record(shell, entry) for entry in entries])
    else:
        rows = [(shell.name(entry), entry.modality or "any", entry.summary, str(entry.source)) for entry in entries]
        print_table(("name", "modality", "summary", "from"), rows)
    for conflict in shell.conflicts(kind).values():
        warn(conflict)


def _plugin_record(shell: Shell, plugin: PluginRecord, imports: bool) -> dict[str, Any]:
    claimed = {(entry.kind, entry.name) for entry in plugin.entries}
    kinds = sorted({kind for kind, _ in claimed})
    record: dict[str, Any] = {
        **plugin.source.model_dump(mode="json"),
        "entries": dict(sorted(Counter(kind for kind, _ in claimed).items())),
        "problem": plugin.problem,
        "left_out": [entry.model_dump(mode="json", exclude={"source"}) for entry in plugin.left_out],
        "conflicts": [
            line for kind in kinds for name, line in shell.conflicts(kind).items() if (kind, name) in claimed
        ],
    }
    if imports:
        record["import_errors"] = [problem for entry in plugin.entries if (problem := _import(shell, entry))]
    return record


def _import(shell: Shell, entry: Entry) -> str | None:
    """Import what an entry names and return what is wrong with it, ``None`` if nothing is."""
    from headstock.recipe.components import component_class

    try:
        with redirect_stdout(sys.stderr):  # what a module prints when it is imported is no part of the listing
            if entry.kind == "command":
                shell.import_command(entry)
            else:
                component_class(shell.catalogue, entry)
    except PluginError as error:
        return str(error)
    return None
