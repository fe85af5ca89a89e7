"""The recipe's JSON Schema with the options of all installed components, for editors."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from headstock.data import DataConfig
from headstock.recipe.components import component_class
from headstock.recipe.model import Recipe
from headstock.trainer.config import TrainerConfig
from headstock_registry import Catalogue, PluginError


def recipe_schema(catalogue: Catalogue) -> tuple[dict[str, Any], list[str]]:
    """Return a JSON Schema (draft 2020-12), and a line for each component that had to be left out.

    A component's section is a name, or a name with its options.
    """
    schema = Recipe.model_json_schema()
    schema.pop("$defs", None)
    definitions: dict[str, Any] = {}
    left_out: list[str] = []
    properties = schema["properties"]
    for kind in ("task", "backbone", "adapter"):
        choices = _choices(kind, catalogue, definitions, left_out)
        properties[kind] = {"description": Recipe.model_fields[kind].description, "anyOf": choices}
    method = {"anyOf": _choices("method", catalogue, definitions, left_out)}
    properties["methods"] = {
        "description": Recipe.model_fields["methods"].description,
        "anyOf": [{"type": "array", "items": method}, method],
    }
    for section, model in (("data", DataConfig), ("trainer", TrainerConfig)):
        options = _inlined(model, definitions, section)
        options["description"] = Recipe.model_fields[section].description
        properties[section] = options
    complete = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "$defs": definitions}
    return complete, left_out


def _choices(kind: str, catalogue: Catalogue, definitions: dict[str, Any], left_out: list[str]) -> list[dict[str, Any]]:
    """Return what a component of a kind may be: a name, or a name with its options."""
    choices: list[dict[str, Any]] = [{"enum": list(catalogue.names(kind)), "type": "string"}]
    for entry in catalogue.entries(kind):
        try:
            config = component_class(catalogue, entry).Config
        except PluginError as error:
            left_out.append(str(error))
            continue
        name = catalogue.name(entry)
        options = _inlined(config, definitions, f"{kind}.{name}")
        options["properties"] = {"name": {"const": name}, **options.get("properties", {})}
        options["required"] = ["name", *options.get("required", [])]
        options["title"], options["description"] = name, entry.summary
        choices.append(options)
    return choices


def _inlined(model: type[BaseModel], definitions: dict[str, Any], prefix: str) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template=f"#/$defs/{prefix}.{{model}}")
    for name, definition in schema.pop("$defs", {}).items():
        definitions[f"{prefix}.{name}"] = definition
    return schema
