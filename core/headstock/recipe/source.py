"""Reads a recipe: a YAML file or a task's name, then ``key=value`` overrides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from headstock.recipe.errors import RecipeError, describe, describe_yaml
from headstock.recipe.model import Recipe
from headstock_registry import nearest

COMPONENTS = ("task", "backbone", "adapter")
MAPPINGS = ("data", "trainer")

Assignment = tuple[list[str], Any]


def parse_recipe(content: Any, where: str) -> Recipe:
    """Check the shape of a recipe given as plain values.

    Raises:
        RecipeError: one line that names ``where`` and the keys at fault.
    """
    if not isinstance(content, dict):
        raise RecipeError(f"{where}: a recipe is a mapping with the key 'task', not {type(content).__name__}")
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(f"{where}: {describe(error, Recipe)}") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """Return a recipe file's content as plain values.

    Raises:
        RecipeError: the file is missing, is not YAML, or does not hold a mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(describe_yaml(error, str(path))) from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path}: a recipe is a mapping with the key 'task'")
    return content


def parse_assignments(texts: Iterable[str], use_file: str = "to train on it write path=") -> list[Assignment]:
    """Split ``section.key=value`` texts. Values that look like YAML lists, mappings or null become those.

    Everything else stays text, which the section's own types then convert: ``007`` is a fine file name.

    Args:
        texts: The texts.
        use_file: What an error says before the name of a file that was given alone.

    Raises:
        RecipeError: a text without ``=``.
    """
    assignments: list[Assignment] = []
    for text in texts:
        key, equals, raw = text.partition("=")
        if not equals or not all(key.split(".")):
            there = not equals and Path(text).exists()
            right = f"{use_file}{text}" if there else "write section.key=value, e.g. trainer.epochs=5"
            raise RecipeError(f"'{text}' is not an override; {right}")
        value: Any = raw
        if raw.startswith(("[", "{")) or raw == "null":
            try:
                value = yaml.safe_load(raw)
            except yaml.YAMLError as error:
                raise RecipeError(describe_yaml(error, f"the value of '{text}'", has_lines=False)) from error
        assignments.append((key.split("."), value))
    return assignments


def component_of(content: Mapping[str, Any], section: str) -> dict[str, Any]:
    """Return a component's section as a mapping with ``name``, whichever way it was written.

    Raises:
        RecipeError: it is neither a name nor a mapping.
    """
    value = content.get(section)
    return {"name": value} if isinstance(value, str) else _mapping(value, section)


def _mapping(value: Any, key: str) -> dict[str, Any]:
    if value is not None and not isinstance(value, dict):
        raise RecipeError(f"'{key}' must be a mapping of options, not {value!r}")
    return dict(value or {})


def assign(content: dict[str, Any], assignments: Sequence[Assignment]) -> dict[str, Any]:
    """Return a recipe's content with overrides put in.

    ``task=NAME`` (likewise backbone and adapter) sets the name. Choosing another component drops the options that were
    written for the one before.

    Raises:
        RecipeError: an unknown section, or a key below something that is not a mapping.
    """
    result = dict(content)
    for path, value in assignments:
        section = path[0]
        if section not in Recipe.model_fields:
            raise RecipeError(f"unknown section '{section}'{nearest(section, Recipe.model_fields)}")
        if section in COMPONENTS and (len(path) == 1 or path[1:] == ["name"]) and isinstance(value, str):
            before = component_of(result, section)
            result[section] = before if before.get("name", value) == value else {}
            result[section] = {**result[section], "name": value}
            continue
        if len(path) == 1:
            result[section] = value
            continue
        if section not in (*COMPONENTS, *MAPPINGS):
            raise RecipeError(f"'{section}' takes a value, not keys: write {section}=…")
        inner = component_of(result, section) if section in COMPONENTS else _mapping(result.get(section), section)
        result[section] = inner
        for part in path[1:-1]:
            inner[part] = _mapping(inner.get(part), f"{section}.{part}")
            inner = inner[part]
        inner[path[-1]] = value
    return result
