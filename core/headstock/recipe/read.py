"""Reads a recipe in any of its forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headstock.recipe.model import Recipe
from headstock.recipe.resolve import ResolvedRecipe, resolve
from headstock.recipe.source import parse_assignments, read_yaml
from headstock_registry import Catalogue


def resolve_recipe(
    catalogue: Catalogue,
    recipe: str | Path | Mapping[str, Any] | Recipe,
    overrides: Sequence[str] | Mapping[str, Any] = (),
) -> ResolvedRecipe:
    """Read and check a recipe in any of the forms that :func:`headstock.run` takes."""
    if isinstance(overrides, Mapping):
        assignments = [(key.split("."), value) for key, value in overrides.items()]
    else:
        assignments = parse_assignments(overrides)
    if isinstance(recipe, Recipe):
        return resolve(catalogue, recipe.model_dump(mode="json"), assignments)
    if isinstance(recipe, Mapping):
        return resolve(catalogue, recipe, assignments)
    if str(recipe).endswith((".yaml", ".yml")):
        return resolve(catalogue, read_yaml(Path(recipe)), assignments, str(recipe))
    return resolve(catalogue, {"task": str(recipe)}, assignments, str(recipe))
