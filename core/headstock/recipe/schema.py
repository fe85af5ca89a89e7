"""The recipe's JSON Schema with the options of all installed components, for editors."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from headstock.data import DataConfig
from headstock.recipe.model import Recipe
from headstock.trainer.config import TrainerConfig
from headstock_registry import Catalogue


def recipe_schema(catalogue: Catalogue) -> dict[str, Any]:
    """Return a JSON Schema (draft 2020-12). Each component section is a name, or a name with that component's options."""
    schema = Recipe.model_json_schema()
    schema.pop("$defs", None)
    definitions: dict[str, Any] = {}
    properties = schema["properties"]
    for kind in ("task", "backbone", "adapter"):
        choices: list[dict[str, Any]] = [{"enum": list(catalogue.names(kind)), "type": "string"}]
        for entry in catalogue.entries(kind):
            options = _inlined(catalogue.resolve(entry).Config, definitions, f"{kind}.{entry.name}")
            options["properties"] = {"name": {"const": entry.name}, **options.get("properties", {})}
            options["required"] = ["name", *options.get("required", [])]
            options["title"], options["description"] = entry.name, entry.summary
            choices.append(options)
        properties[kind] = {"description": Recipe.model_fields[kind].description, "anyOf": choices}
    for section, model in (("data", DataConfig), ("trainer", TrainerConfig)):
        options = _inlined(model, definitions, section)
        options["description"] = Recipe.model_fields[section].description
        properties[section] = options
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "$defs": definitions}


def _inlined(model: type[BaseModel], definitions: dict[str, Any], prefix: str) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template=f"#/$defs/{prefix}.{{model}}")
    for name, definition in schema.pop("$defs", {}).items():
        definitions[f"{prefix}.{name}"] = definition
    return schema
