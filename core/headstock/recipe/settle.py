"""Chooses what a recipe leaves open, once the data is read: the backbone, and settings of the ``trainer`` section."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import yaml

from headstock.interfaces import TrainingFacts
from headstock.recipe.errors import validated
from headstock.recipe.model import Recipe
from headstock.recipe.resolve import Part, ResolvedRecipe
from headstock.trainer.config import TrainerConfig

ROWS_SHOWN = 1000
"""Training rows by which a backbone says whether it suits the data."""


def suit(resolved: ResolvedRecipe, inputs: Iterable[Mapping[str, Any]]) -> tuple[ResolvedRecipe, list[str]]:
    """Return the recipe with the first of its default backbones that suits the data, and what to say of one kept.

    Args:
        resolved: The checked recipe.
        inputs: What the task made of the training rows.
    """
    seen = list(islice(inputs, ROWS_SHOWN))
    candidates = [resolved.backbone, *resolved.alternatives]
    unsuited: list[str] = []
    for part in candidates:
        why = part.cls.unsuitable(seen)
        if why is None:
            break
        unsuited.append(f"{part.name}: {why}")
    else:
        return replace(resolved, alternatives=()), [f"backbone {unsuited[0]}; see `headstock backbones` for others"]
    if part is resolved.backbone:
        return replace(resolved, alternatives=()), []
    remark = f"backbone {part.name} in place of the default {'; of '.join(unsuited)}"
    content = resolved.recipe.model_dump(mode="json") | {"backbone": part.spelled_out}
    found = replace(
        resolved,
        recipe=Recipe.model_validate(content),
        backbone=part,
        remarks=(*resolved.remarks, remark),
        alternatives=(),
    )
    return found, []


def settle(resolved: ResolvedRecipe, examples: int, pretrained: bool, parameters: int) -> ResolvedRecipe:
    """Return the recipe with every option of the trainer: what the user gave, and else what the components choose.

    Args:
        resolved: The checked recipe.
        examples: Examples of the training split.
        pretrained: Whether the backbone starts from pretrained weights.
        parameters: How many numbers the backbone's parameters hold.

    Raises:
        RecipeError: a component chooses what is no option of the trainer, or no value of it.
    """
    parts: dict[str, Part[Any]] = {"task": resolved.task, "backbone": resolved.backbone, "adapter": resolved.adapter}
    names = {kind: part.entry.name for kind, part in parts.items()}
    parts |= {f"method {part.entry.name}": part for part in reversed(resolved.methods)}
    facts = TrainingFacts(
        **names, examples=examples, pretrained=pretrained, parameters=parameters, given=dict(resolved.given)
    )
    by_part = {
        kind: validated(TrainerConfig, dict(part.cls.trainer_defaults(part.config, facts)), _called(kind, facts))
        for kind, part in parts.items()
    }
    brought = {kind: config.model_dump(mode="json", exclude_unset=True) for kind, config in by_part.items()}
    defaults: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for kind, settings in brought.items():
        defaults |= settings
        origin |= dict.fromkeys(settings, kind)
    trainer = validated(TrainerConfig, {**defaults, **resolved.given}, "trainer")
    spelled_out = trainer.model_dump(mode="json")
    recipe = resolved.recipe.model_copy(update={"trainer": spelled_out})
    return replace(resolved, recipe=recipe, trainer=trainer, chosen=_lines(resolved, facts, defaults, origin))


def _called(kind: str, facts: TrainingFacts) -> str:
    """Return what a component is called; methods are by their names already."""
    names = {"task": facts.task, "backbone": facts.backbone, "adapter": facts.adapter}
    return f"{kind} {names[kind]}" if kind in names else kind


def _lines(
    resolved: ResolvedRecipe, facts: TrainingFacts, defaults: dict[str, Any], origin: dict[str, str]
) -> tuple[str, ...]:
    """Return what was chosen, by whom and for what, for the console and the recipe's file."""
    lines = []
    kind_of = "pretrained" if facts.pretrained else "from scratch"
    for kind in dict.fromkeys(origin.values()):
        who = _called(kind, facts)
        if kind == "backbone":
            who += f" ({kind_of}, {facts.parameters:,} parameters)"
        settings = {
            name: value for name, value in defaults.items() if origin[name] == kind and name not in resolved.given
        }
        if settings:
            values = ", ".join(f"{name} {yaml.safe_dump(value).split(chr(10))[0]}" for name, value in settings.items())
            lines.append(f"chosen for {facts.examples:,} training examples by {who}: {values}")
    return tuple(lines)
