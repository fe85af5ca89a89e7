"""Pages of the reference that are made from code when the site is built."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from headstock.cli.commands import Shell
from headstock.cli.main import cli
from headstock.cli.options.schema import options
from headstock.data import DataConfig
from headstock.recipe.components import component_class
from headstock.testing.checks import CHECKS
from headstock.trainer.config import TrainerConfig
from headstock_registry import Entry, load_catalogue

PLANTED = Path(__file__).parents[1] / "tests/contract/plugins"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    pages = {"checks.md": checks(), "recipes.md": recipes(), "components.md": components(), "cli.md": commands()}
    for name, lines in pages.items():
        files.append(File.generated(config, name, content="\n".join(lines) + "\n"))
    return files


def checks() -> Iterator[str]:
    """Yield the page on the contract kit."""
    yield "# The contract kit\n"
    yield "What every task, backbone, adapter and method must do. `headstock check NAME` runs the checks of an"
    yield "installed component, `headstock.testing.parametrize_with_checks` makes a test of each, which is what"
    yield "`tests/test_contract.py` of a plugin holds.\n"
    yield "```python"
    yield "from headstock.testing import CheckCall, parametrize_with_checks\n\n"
    yield '@parametrize_with_checks("task", "text-classification")'
    yield "def test_contract(check: CheckCall) -> None:"
    yield "    check()"
    yield "```\n"
    for check in CHECKS:
        yield f"## {check.name} {{ #{check.name} }}\n"
        yield f"*For: {', '.join(check.kinds)}.* {check.explanation}\n"
    yield from faults()


def faults() -> Iterator[str]:
    """Yield the table of planted faults: components of the tests that are broken in one way each."""
    sys.path.insert(0, str(PLANTED))
    try:
        from kit_faults import FAULTS
    finally:
        sys.path.remove(str(PLANTED))
    yield "## Planted faults\n"
    yield f"The kit is tested too: {len(FAULTS)} components with one fault each, and the check that must catch it.\n"
    yield "| fault | caught by |"
    yield "| --- | --- |"
    yield from (f"| {_cell(fault.what)} | [{fault.caught_by}](#{fault.caught_by}) |" for fault in FAULTS)


def recipes() -> Iterator[str]:
    """Yield the page on recipes."""
    yield "# Recipes\n"
    yield "A recipe is a YAML file, or `section.key=value` on the command line; the section may be left out where only"
    yield "one has the key. `headstock schema` prints the JSON Schema for editors.\n"
    yield "```yaml"
    yield "task: text-classification"
    yield "backbone: {name: transformers, model: distilbert/distilbert-base-uncased}"
    yield "adapter: {name: lora, r: 16}"
    yield "data: {path: reviews.csv, columns: {text: review, label: stars}}"
    yield "trainer: {epochs: 3, learning_rate: 2.0e-4}"
    yield "seed: 1"
    yield "```\n"
    yield "The sections `task`, `backbone` and `adapter` hold the name and options of a [component](components.md),"
    yield "`methods` a list of such [training methods](method.md).\n"
    for section, model in (("data", DataConfig), ("trainer", TrainerConfig)):
        yield f"## {section}\n"
        yield from _options(model)


def components() -> Iterator[str]:
    """Yield the page on all that comes with Headstock."""
    catalogue = load_catalogue()
    yield "# Tasks, backbones, adapters, methods\n"
    yield "What comes with Headstock. `headstock show NAME` prints the same for everything that is installed.\n"
    for kind in ("task", "backbone", "adapter", "method"):
        yield f"## {kind.capitalize()}{'es' if kind.endswith('s') else 's'}\n"
        for entry in catalogue.entries(kind):
            yield from _component(entry, component_class(catalogue, entry))


def _component(entry: Entry, cls: type) -> Iterator[str]:
    yield f"### {entry.name}\n"
    yield (
        f"{entry.summary[0].upper()}{entry.summary[1:]}."
        + (f" Modality: {entry.modality}." if entry.modality else "")
        + "\n"
    )
    if entry.kind == "task":
        yield "| column | role | meaning |"
        yield "| --- | --- | --- |"
        yield from (f"| {each.name} | {each.role} | {_cell(each.summary)} |" for each in cls.columns)
        yield ""
        yield "| metric | better | meaning |"
        yield "| --- | --- | --- |"
        yield from (f"| {each.name} | {each.better} | {_cell(each.summary)} |" for each in cls.metrics)
        yield ""
    yield from _options(cls.Config)


def _options(model: type) -> Iterator[str]:
    found = list(options(model))
    if found:
        yield "| option | type | default | meaning |"
        yield "| --- | --- | --- | --- |"
        yield from (f"| {' | '.join(_cell(value) for value in option)} |" for option in found)
        yield ""


def commands() -> Iterator[str]:
    """Yield the page on the command line."""
    yield "# Command line\n"
    shell = Shell()
    context = click.Context(cli, info_name="headstock", obj=shell)
    for name in shell.command_summaries():
        command = shell.command(name)
        if command is None:
            raise LookupError(name)
        yield f"## headstock {name}\n"
        yield "```text"
        yield command.get_help(click.Context(command, info_name=name, parent=context))
        yield "```\n"


def _cell(text: str) -> str:
    return str(text).replace("|", "\\|").replace("<", "&lt;")
