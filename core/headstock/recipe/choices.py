"""What a user can choose from where a backbone lacks an option that has no default."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from headstock.interfaces import Backbone, Task
from headstock.recipe.components import component_class
from headstock_registry import Catalogue, Entry, PluginError


def required_options(backbone: type[Backbone]) -> list[str]:
    """Return the names of a backbone's options that have no default."""
    return [name for name, field in backbone.Config.model_fields.items() if field.is_required()]


def choices(
    catalogue: Catalogue, task: tuple[Entry, type[Task]], backbone: type[Backbone], missing: Sequence[str]
) -> Iterator[str]:
    """Yield what is usually given for missing options, and which pretrained backbones need none.

    Args:
        catalogue: The installed plugins.
        task: The task's entry and class.
        backbone: The backbone that lacks options.
        missing: Their names.
    """
    for option in missing:
        usual = backbone.usual_values(option, task[0].name)
        if usual:
            values = ", ".join(f"{' or '.join(values)} ({what})" for what, values in usual.items())
            yield f"usual for {task[0].name}: {values}"
    pretrained = [(entry, cls) for entry, cls in _backbones(catalogue, task[1]) if cls.provenance is not None]
    names = [catalogue.name(entry) for entry, cls in pretrained if cls.unavailable() is None]
    if names:
        yield f"pretrained weights that are installed: {' or '.join(f'backbone={name}' for name in names)}"
        return
    for entry, cls in pretrained:
        yield f"backbone={catalogue.name(entry)} needs none, but {cls.unavailable()}"


def _backbones(catalogue: Catalogue, task: type[Task]) -> Iterator[tuple[Entry, type[Backbone]]]:
    """Yield the backbones that fit a task and whose options all have defaults."""
    for entry in catalogue.entries("backbone"):
        if entry.modality not in (None, task.modality):
            continue
        try:
            cls: Any = component_class(catalogue, entry)
        except PluginError:
            continue  # what cannot be imported cannot be chosen
        if not required_options(cls):
            yield entry, cls
