"""Chooses what a recipe leaves open of its ``trainer`` section, once the data is read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import yaml

from headstock.interfaces import TrainingFacts
from headstock.recipe.errors import validated
from headstock.recipe.resolve import Part, ResolvedRecipe
from headstock.trainer.config import TrainerConfig


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
    facts = TrainingFacts(
        **names, examples=examples, pretrained=pretrained, parameters=parameters, given=dict(resolved.given)
    )
    by_part = {
        kind: validated(TrainerConfig, dict(part.cls.trainer_defaults(part.config, facts)), f"{kind} {names[kind]}")
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


def _lines(
    resolved: ResolvedRecipe, facts: TrainingFacts, defaults: dict[str, Any], origin: dict[str, str]
) -> tuple[str, ...]:
    """Return what was chosen, by whom and for what, for the console and the recipe's file."""
    lines = []
    kind_of = "pretrained" if facts.pretrained else "from scratch"
    backbone = f"backbone {facts.backbone} ({kind_of}, {facts.parameters:,} parameters)"
    by = {"task": f"task {facts.task}", "backbone": backbone, "adapter": f"adapter {facts.adapter}"}
    for kind, who in by.items():
        settings = {
            name: value for name, value in defaults.items() if origin[name] == kind and name not in resolved.given
        }
        if settings:
            values = ", ".join(f"{name} {yaml.safe_dump(value).split(chr(10))[0]}" for name, value in settings.items())
            lines.append(f"chosen for {facts.examples:,} training examples by {who}: {values}")
    return tuple(lines)
