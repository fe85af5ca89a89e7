"""``headstock show``: one entry in full; ``headstock schema``: the recipe's JSON Schema.

These import the components that they describe.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click
from pydantic import BaseModel

from headstock.cli.commands import Shell, pass_shell
from headstock.cli.listing import as_json_option, entry_record
from headstock.cli.options.schema import options
from headstock.cli.output import Row, print_facts, print_json, print_table, warn
from headstock_registry import KINDS, Catalogue, Entry, HeadstockError

SHOWN_EXAMPLES = (100, 1_000, 10_000)
"""Numbers of training examples for which settings of the trainer are shown."""
SHOWN_PARAMETERS = 30_000_000
"""Size of the pretrained backbone for which they are shown."""


@click.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), help="Which kind is meant where several have the name.")
@as_json_option
@pass_shell
def show(shell: Shell, name: str, kind: str | None, as_json: bool) -> None:
    """Show the task, backbone, adapter or plugin command called NAME with all its options.

    NAME can also be `data` or `trainer`, the other two sections of a recipe.
    """
    records = _records(shell, name, kind)
    if as_json:
        print_json(records)
        return
    for number, record in enumerate(records):
        if number:
            click.echo()
        _print_record(shell.catalogue, record)


@click.command()
@pass_shell
def schema(shell: Shell) -> None:
    """Print the recipe's JSON Schema, with the options of all that is installed."""
    from headstock.recipe.schema import recipe_schema

    shell.warn()
    content, left_out = recipe_schema(shell.catalogue)
    for problem in left_out:
        warn(problem)
    print_json(content)


def _records(shell: Shell, name: str, kind: str | None) -> list[dict[str, Any]]:
    """Return the recipe's section of that name, if there is one, and the entries of that name."""
    catalogue = shell.catalogue
    if kind is not None:
        return [_describe(shell, catalogue.get(kind, name))]
    section = _section(name)
    if section is None:
        return [_describe(shell, entry) for entry in catalogue.find(name)]
    named = [entry for entry in catalogue.entries() if shell.name(entry) == name]
    return [section, *(_describe(shell, entry) for entry in named)]


def _section(name: str) -> dict[str, Any] | None:
    """Describe a section of the recipe that holds options of Headstock itself; ``None`` for another name."""
    if name not in ("data", "trainer"):
        return None
    from headstock.data import DataConfig
    from headstock.recipe.model import Recipe
    from headstock.trainer.config import TrainerConfig

    config: type[BaseModel] = DataConfig if name == "data" else TrainerConfig
    record: dict[str, Any] = {"kind": "section of a recipe", "name": name}
    record["summary"] = Recipe.model_fields[name].description
    record["options"] = [option._asdict() for option in options(config)]
    return record


def _describe(shell: Shell, entry: Entry) -> dict[str, Any]:
    catalogue = shell.catalogue
    record = entry_record(shell, entry)
    if entry.kind == "command":
        return record
    from headstock.interfaces import Task
    from headstock.recipe.components import component_class

    target = component_class(catalogue, entry)
    record["options"] = [option._asdict() for option in options(target.Config)]
    record["trainer_defaults"] = _trainer_defaults(entry, target)
    if entry.kind == "task":
        record["columns"] = [column.model_dump(mode="json") for column in target.columns]
        record["other_columns"] = target.columns_for is not Task.columns_for
        record["metrics"] = [metric.model_dump(mode="json") for metric in target.metrics]
        record["default_backbone"] = target.default_backbone
        record["fallback_backbones"], record["default_remarks"] = _fallbacks(catalogue, entry, target)
        record["backbones"] = _fitting(catalogue, "backbone", target.modality)
    elif entry.kind == "backbone":
        record["cost_unit"] = target.cost_unit
        record["tasks"] = _fitting(catalogue, "task", target.modality)
    elif entry.kind == "adapter":
        record["keeps_base"] = target.keeps_base
    return record


def _fallbacks(catalogue: Catalogue, entry: Entry, task: Any) -> tuple[list[str], list[str]]:
    """Return what may stand for a task's default backbone, and a line where the default cannot be made here."""
    from headstock.recipe.backbones import default_backbones, fallbacks_of

    fallbacks = list(fallbacks_of(task))
    try:
        return fallbacks, default_backbones(catalogue, entry, task).remarks
    except HeadstockError:  # the default is another plugin's, and cannot be had; a run says why
        return fallbacks, []


def _trainer_defaults(entry: Entry, target: Any) -> dict[str, dict[str, Any]] | None:
    """Return by number of training examples what a component chooses of the trainer's settings.

    Its options have their defaults and the backbone is a pretrained one of some size; ``None`` where they depend on
    options that have no default.
    """
    required = [name for name, field in target.Config.model_fields.items() if field.is_required()]
    config = target.Config.model_construct() if required else target.Config()
    task, backbone, adapter = (entry.name if kind == entry.kind else "" for kind in ("task", "backbone", "adapter"))
    from headstock.interfaces import TrainingFacts

    try:
        return {
            str(examples): dict(
                target.trainer_defaults(
                    config,
                    TrainingFacts(task, backbone, adapter, examples, pretrained=True, parameters=SHOWN_PARAMETERS),
                )
            )
            for examples in SHOWN_EXAMPLES
        }
    except AttributeError as error:
        if error.name in required:
            return None
        raise


def _fitting(catalogue: Catalogue, kind: str, modality: str) -> list[str]:
    return [catalogue.name(entry) for entry in catalogue.entries(kind) if entry.modality in (None, modality)]


def _print_record(catalogue: Catalogue, record: dict[str, Any]) -> None:
    facts = [
        ("kind", record["kind"]),
        ("name", record["name"]),
        ("summary", record["summary"]),
    ]
    if "target" in record:
        facts += [
            ("modality", record["modality"] or "any"),
            ("from", f"{record['distribution']} {record['version']} (plugin {record['plugin']})"),
            ("target", record["target"]),
        ]
    if record["kind"] == "command":
        facts.append(("options", f"headstock {record['name']} --help"))
    if "default_backbone" in record:
        default = record["default_backbone"]
        absent = "" if default in catalogue.names("backbone") else " (not installed)"
        facts.append(("default backbone", default + absent))
        if record["fallback_backbones"]:
            facts.append(("where it does not suit", ", ".join(record["fallback_backbones"])))
        facts += [("taken here", remark) for remark in record["default_remarks"]]
        facts.append(("backbones", ", ".join(record["backbones"]) or "none installed"))
    if "cost_unit" in record:
        facts.append(("cost counted in", record["cost_unit"]))
        facts.append(("tasks", ", ".join(record["tasks"]) or "none installed"))
    if "keeps_base" in record:
        facts.append(("base weights", "kept as they were" if record["keeps_base"] else "changed"))
    print_facts(facts)
    _print_part(
        "options", ("option", "type", "default", "meaning"), [tuple(row.values()) for row in record.get("options", [])]
    )
    sizes = [f"{examples:,} examples" for examples in SHOWN_EXAMPLES]
    _print_part("trainer settings that it chooses", ("option", *sizes), _trainer_rows(record))
    columns = [
        (
            column["name"],
            column["role"],
            "required" if column["required"] else "optional",
            " ".join([column["content"], *column["suffixes"]]),
            column["summary"],
        )
        for column in record.get("columns", [])
    ]
    if record.get("other_columns"):
        columns.append(("(others)", "", "", "", "the training data decides which there are"))
    _print_part("data", ("column", "role", "required", "content", "meaning"), columns)
    metrics = [(metric["name"], metric["better"], metric["summary"]) for metric in record.get("metrics", [])]
    _print_part("metrics", ("metric", "better", "meaning"), metrics)


def _trainer_rows(record: Mapping[str, Any]) -> list[Row]:
    brought = record.get("trainer_defaults", {})
    if brought is None:
        return [("depend on its options", *[""] * len(SHOWN_EXAMPLES))]
    names = dict.fromkeys(name for settings in brought.values() for name in settings)
    return [
        (f"trainer.{name}", *(json.dumps(settings[name]) if name in settings else "" for settings in brought.values()))
        for name in names
    ]


def _print_part(title: str, header: Row, rows: Sequence[Row]) -> None:
    if rows:
        click.echo(f"\n{title}")
        print_table(header, rows, indent=2)
