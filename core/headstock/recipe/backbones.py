"""Which backbone a recipe means: the one that it names, or the task's default."""

from __future__ import annotations

from headstock.interfaces import Backbone, Task
from headstock.recipe.components import component_class
from headstock.recipe.errors import RecipeError
from headstock_registry import Catalogue, Entry, UnknownNameError, normalized


def fitting_backbone(catalogue: Catalogue, task: type[Task], name: str) -> Entry:
    """Return the backbone's entry; a name may be shortened to a beginning that only one fitting backbone has.

    Raises:
        RecipeError: the backbone is of another modality than the task.
        UnknownNameError, NameConflictError: the name stands for none, or for several.
    """
    entries = [entry for entry in catalogue.entries("backbone") if entry.modality in (None, task.modality)]
    try:
        entry = catalogue.get("backbone", name)
    except UnknownNameError:
        begins = [entry for entry in entries if catalogue.name(entry).startswith(f"{name}-")]
        left_out = {entry.name for entry in catalogue.left_out if entry.kind == "backbone"}
        if len(begins) == 1 and name.rpartition(":")[2] not in left_out:
            return begins[0]
        message = f"no backbone named '{name}' is installed for {task.modality}"
        raise catalogue.missing("backbone", name, message, [*map(catalogue.name, entries)]) from None
    if entry not in entries:
        fits = ", ".join(catalogue.name(fitting) for fitting in entries)
        raise RecipeError(f"backbone '{entry.name}' is for {entry.modality}, the task needs {task.modality}: {fits}")
    return entry


def default_backbone(catalogue: Catalogue, entry: Entry, task: type[Task]) -> tuple[str, list[str]]:
    """Return the name of a task's default backbone, or of its fallback where that cannot be made, and why so.

    Raises:
        HeadstockError: the default is to be looked at, and cannot be had.
    """
    name, fallback = _own(catalogue, entry, task.default_backbone), fallback_of(task)
    if fallback is None:
        return name, []
    default: type[Backbone] = component_class(catalogue, fitting_backbone(catalogue, task, name))
    why = default.unavailable()
    if why is None:
        return name, []
    remark = f"backbone {fallback} in place of the default {task.default_backbone}: {why}"
    return _own(catalogue, entry, fallback), [remark]


def fallback_of(task: type[Task]) -> str | None:
    """Return the fallback that goes with a task's default backbone: that of the class which names the default."""
    for cls in task.__mro__:
        if "fallback_backbone" in vars(cls):
            return task.fallback_backbone
        if "default_backbone" in vars(cls):
            return None
    return None


def _own(catalogue: Catalogue, entry: Entry, name: str) -> str:
    """Return the name of a task's backbone; one of the task's own distribution is meant before all others."""
    if entry.source is not None:
        own = f"{normalized(entry.source.distribution)}:{name}"
        if any(brought.qualified == own for brought in catalogue.entries("backbone")):
            return own
    return name
