"""Reads the JSON Schema of a component's ``Config`` into one row an option, for people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import BaseModel

BASIC = {"integer": "int", "number": "float", "boolean": "bool", "string": "str", "null": "null"}
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
MADE = object()
"""Stands for a default that the schema does not tell, because a function makes it."""

Schema = dict[str, Any]


class Option(NamedTuple):
    """One option; ``name`` has dots where models are nested, ``type`` includes the limits, ``default`` is JSON."""

    name: str
    type: str
    default: str
    meaning: str


def options(config: type[BaseModel]) -> list[Option]:
    """Return the options of a ``Config`` in the order in which it declares them; nested models are flattened."""
    schema = config.model_json_schema()
    reader = _Reader(schema.get("$defs", {}))
    if "$ref" in schema:  # a model that holds itself
        name = _name(schema)
        return list(reader.rows(schema["$defs"][name], "", {}, (name,)))
    return list(reader.rows(schema, "", {}, ()))


class _Reader:
    def __init__(self, definitions: dict[str, Schema]) -> None:
        self._definitions = definitions

    def rows(self, model: Schema, prefix: str, defaults: Schema, above: tuple[str, ...]) -> Iterator[Option]:
        """Yield the rows of a model. ``defaults`` are given for it as a whole, ``above`` are the models around it."""
        for key, field in model.get("properties", {}).items():
            default = defaults.get(key, field.get("default", MADE))
            required = default is MADE and key in model.get("required", ())
            name, nested = f"{prefix}{key}", self._nested(field)
            flat = nested is None or nested in above
            if flat or required or default is None:  # a nested model that must be there, or may be left out
                yield Option(name, self.type(field), _shown(default, required), field.get("description", ""))
            if nested is None or flat:
                continue
            inner = default if isinstance(default, dict) else {}
            yield from self.rows(self._definitions[nested], f"{name}.", inner, (*above, nested))

    def type(self, field: Schema) -> str:
        """Return a readable type with its limits."""
        alternatives = field.get("anyOf") or field.get("oneOf") or field.get("allOf")
        if alternatives:
            return " or ".join(dict.fromkeys(self.type(alternative) for alternative in alternatives))
        if "$ref" in field:
            return self.type(self._definitions[_name(field)])
        choices = field.get("enum") or ([field["const"]] if "const" in field else [])
        if choices:
            return " | ".join(json.dumps(choice, ensure_ascii=False) for choice in choices)
        return " ".join([self._basic(field), _limits(field)]).strip()

    def _basic(self, field: Schema) -> str:
        kind = field.get("type")
        if kind == "array":
            if "prefixItems" in field:
                return f"[{', '.join(map(self.type, field['prefixItems']))}]"
            count = _count(field, "minItems", "maxItems")
            container = "set of" if field.get("uniqueItems") else "list of"
            return " ".join(filter(None, [container, count, self.type(field.get("items", {}))]))
        if kind == "object":
            values = field.get("additionalProperties")
            return f"mapping to {self.type(values)}" if isinstance(values, dict) else "mapping"
        if kind == "string" and "format" in field:
            return str(field["format"])
        return BASIC.get(str(kind), "any")

    def _nested(self, field: Schema) -> str | None:
        """Return the name of the one model that a field holds, ``None`` for fields that hold something else."""
        alternatives = field.get("anyOf") or field.get("allOf") or [field]
        models = [part for part in alternatives if part.get("type") != "null"]
        if len(models) != 1 or "$ref" not in models[0]:
            return None
        name = _name(models[0])
        return name if "properties" in self._definitions[name] else None


def _shown(default: Any, required: bool) -> str:
    if required:
        return "required"
    return "computed" if default is MADE else json.dumps(default, ensure_ascii=False)


def _name(reference: Schema) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _limits(field: Schema) -> str:
    limits = [f"{sign} {field[key]}" for key, sign in BOUNDS.items() if key in field]
    length = _count(field, "minLength", "maxLength")
    if length:
        limits.append(f"of {length} characters")
    if "multipleOf" in field:
        limits.append(f"in steps of {field['multipleOf']}")
    if "pattern" in field:
        limits.append(f"like {field['pattern']}")
    return " and ".join(limits)


def _count(field: Schema, least: str, most: str) -> str:
    low, high = field.get(least), field.get(most)
    if low is None:
        return "" if high is None else f"up to {high}"
    return f"{low} or more" if high is None else str(low) if low == high else f"{low} to {high}"
