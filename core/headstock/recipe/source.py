"""Reads a recipe: a YAML file or a task's name, then ``key=value`` overrides."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from headstock.error_text import shown
from headstock.files import read_utf8
from headstock.recipe.errors import RecipeError, describe
from headstock.recipe.model import Recipe
from headstock.recipe.yaml_text import LARGEST, parse_yaml
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
        ReadError: the file cannot be read.
        RecipeError: it is not YAML that :func:`parse_yaml` takes, or does not hold a mapping.
    """
    content = parse_yaml(read_utf8(path, 4 * LARGEST), str(path))
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
        RecipeError: a text without ``=``, or not in UTF-8, or a list or mapping that is no YAML.
    """
    assignments: list[Assignment] = []
    for text in texts:
        key, equals, raw = text.partition("=")
        if not _is_text(text):
            raise RecipeError(f"the argument {shown(text)} is not UTF-8 text")
        if not equals or not all(key.split(".")):
            there = not equals and os.path.exists(text)  # unlike pathlib it takes any text
            right = f"{use_file}{text}" if there else "write section.key=value, e.g. trainer.epochs=5"
            raise RecipeError(f"{shown(text)} is not an override; {right}")
        value: Any = raw
        if raw.startswith(("[", "{")) or raw == "null":
            value = parse_yaml(raw, f"the value of {shown(text)}", has_lines=False)
        assignments.append((key.split("."), value))
    return assignments


def _is_text(text: str) -> bool:
    """Tell text from what the shell hands over of bytes that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def component_of(content: Mapping[str, Any], section: str) -> dict[str, Any]:
    """Return a component's section as a mapping with ``name``, whichever way it was written.

    Raises:
        RecipeError: it is neither a name nor a mapping.
    """
    value = content.get(section)
    return {"name": value} if isinstance(value, str) else _mapping(value, section)


def _mapping(value: Any, key: str) -> dict[str, Any]:
    if value is not None and not isinstance(value, dict):
        raise RecipeError(f"'{key}' must be a mapping of options, not {shown(value)}")
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
            raise RecipeError(f"unknown section {shown(section)}{nearest(section, Recipe.model_fields)}")
        if section in COMPONENTS and (len(path) == 1 or path[1:] == ["name"]) and isinstance(value, str):
            before = component_of(result, section)
            result[section] = before if before.get("name", value) == value else {}
            result[section] = {**result[section], "name": value}
            continue
        if len(path) == 1:
            result[section] = value
            continue
        if section == "methods":
            raise RecipeError("'methods' takes names or a list: write methods=NAME or methods=[{name: NAME, …}]")
        if section not in (*COMPONENTS, *MAPPINGS):
            raise RecipeError(f"'{section}' takes a value, not keys: write {section}=…")
        inner = component_of(result, section) if section in COMPONENTS else _mapping(result.get(section), section)
        result[section] = inner
        for part in path[1:-1]:
            inner[part] = _mapping(inner.get(part), f"{section}.{part}")
            inner = inner[part]
        inner[path[-1]] = value
    return result
