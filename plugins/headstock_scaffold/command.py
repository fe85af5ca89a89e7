"""``headstock new``: a new plugin, ready to be installed, tested and published."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import click

from headstock import API_VERSION, Shell, pass_shell
from headstock_scaffold.names import names_for
from headstock_scaffold.render import render


@click.command()
@click.argument("kind", type=click.Choice(["task", "backbone", "adapter"]))
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), help="The new folder; default headstock-NAME, here.")
@click.option("--author", help="Who stands in the licence and the metadata; default: the authors of the plugin.")
@pass_shell
def new(shell: Shell, kind: str, name: str, out: Path | None, author: str | None) -> None:
    """Write a plugin with one new task, backbone or adapter called NAME.

    What is written works as it is: it installs, it trains, and its tests run the contract kit on it. Replace the
    sample, the options and the methods by your own, one at a time.
    """
    names = names_for(kind, name, shell.catalogue)
    target = out or Path(names.distribution)
    version = metadata.version("headstock").split(".")
    values = {
        **names._asdict(),
        "kind": kind,
        "author": author or f"The authors of {names.distribution}",
        "year": str(datetime.now(UTC).year),
        "api_version": str(API_VERSION),
        "headstock_version": ".".join(version[:2]),
    }
    for path in render(kind, values, target):
        click.echo(path)
    click.echo(
        f"\nnext:\n  cd {target}\n  pip install -e '.[dev]'\n  headstock show {name}\n  pytest\n"
        f"then edit {names.package}/{kind}.py; `headstock check {name}` says what is not right yet"
    )
