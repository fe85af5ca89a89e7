"""``headstock check``: the contract kit from the shell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from headstock.cli.commands import Shell, pass_shell
from headstock.cli.listing import as_json_option
from headstock.cli.options.trust import trust_option
from headstock.cli.output import print_json
from headstock_registry import Catalogue, Entry, HeadstockError, normalized

if TYPE_CHECKING:
    from headstock.testing import CheckResult

CHECKED = ("task", "backbone", "adapter", "method")


@click.command()
@click.argument("name")
@click.argument("assignments", metavar="[KEY=VALUE]…", nargs=-1)
@click.option("--kind", type=click.Choice(CHECKED), help="Which kind is meant where several have the name.")
@click.option("--only", metavar="CHECK", multiple=True, help="Run only this check; can be given several times.")
@click.option("--explain", is_flag=True, help="Say what the checks ask for, and run none.")
@trust_option
@as_json_option
@pass_shell
def check(
    shell: Shell,
    name: str,
    assignments: tuple[str, ...],
    kind: str | None,
    only: tuple[str, ...],
    explain: bool,
    trust_remote_code: bool,
    as_json: bool,
) -> None:
    """Check the task, backbone, adapter or method called NAME, or all of a distribution, against what it must do.

    KEY=VALUE are options as for `headstock run`, for components that need some (backbone.model=…) or that are to be
    checked beside others (task=…, backbone=…). The exit code is 1 when a check fails.
    """
    entries = _entries(shell.catalogue, name, kind)
    from headstock.interfaces.remote_code import trusting_remote_code
    from headstock.testing import checks_for

    for entry in entries:
        checks_for(entry.kind, only or None)
    if explain:
        _explain(entries, only)
        return
    results = []
    with trusting_remote_code(trust_remote_code):
        for result in _results(shell.catalogue, entries, assignments, only):
            results.append(result)
            if not as_json:
                click.echo(str(result))
    failed = sum(result.status == "failed" for result in results)
    if as_json:
        print_json([result.model_dump(mode="json") for result in results])
    else:
        skipped = sum(result.status == "skipped" for result in results)
        seconds = sum(result.seconds for result in results)
        passed = len(results) - failed - skipped
        click.echo(f"{passed} passed, {failed} failed, {skipped} skipped in {seconds:.0f} s")
    if failed:
        raise click.exceptions.Exit(1)


def _entries(catalogue: Catalogue, name: str, kind: str | None) -> list[Entry]:
    """Return the components of that name, or of that distribution."""
    brought = [
        entry
        for entry in catalogue.entries()
        if entry.source is not None and normalized(entry.source.distribution) == normalized(name)
    ]
    if brought and kind is None:
        found: Sequence[Entry] = brought
    else:
        found = catalogue.find(name) if kind is None else (catalogue.get(kind, name),)
    checked = [entry for entry in found if entry.kind in CHECKED]
    if not checked:
        raise HeadstockError(
            f"'{name}' brings only commands; tasks, backbones, adapters and methods are what is checked"
        )
    return checked


def _results(
    catalogue: Catalogue, entries: Sequence[Entry], assignments: Sequence[str], only: Sequence[str]
) -> Iterator[CheckResult]:
    from headstock.testing import run_checks

    for entry in entries:
        yield from run_checks(
            catalogue.name(entry), assignments, kind=entry.kind, only=only or None, catalogue=catalogue
        )


def _explain(entries: Sequence[Entry], only: Sequence[str]) -> None:
    from headstock.testing import checks_for

    for kind in dict.fromkeys(entry.kind for entry in entries):
        for each in checks_for(kind, only or None):
            click.echo(f"{each.name}\n{_indented(each.explanation)}\n")


def _indented(text: str) -> str:
    return "\n".join(f"  {line}".rstrip() for line in text.splitlines())
