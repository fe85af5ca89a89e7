"""Which backbone a recipe means: the one that it names, or the task's default."""

from __future__ import annotations

from typing import NamedTuple

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


class Defaults(NamedTuple):
    """The default backbones of a task that can be made here.

    Attributes:
        names: In the order in which they are tried; the task's own default alone where none can be made.
        remarks: A line where the first of them is not the task's own default.
    """

    names: list[str]
    remarks: list[str]


def default_backbones(catalogue: Catalogue, entry: Entry, task: type[Task]) -> Defaults:
    """Return which backbones a task may mean where its recipe names none.

    Raises:
        HeadstockError: one of them is to be looked at, and cannot be had.
    """
    names = [_own(catalogue, entry, name) for name in (task.default_backbone, *fallbacks_of(task))]
    if len(names) == 1:
        return Defaults(names, [])
    why: dict[str, str | None] = {}
    for name in names:
        backbone: type[Backbone] = component_class(catalogue, fitting_backbone(catalogue, task, name))
        why[name] = backbone.unavailable()
    found = [name for name in names if why[name] is None] or names[:1]
    before = names[: names.index(found[0])]
    if not before:
        return Defaults(found, [])
    missing = "; of ".join(f"{name.rpartition(':')[2]}: {why[name]}" for name in before)
    return Defaults(found, [f"backbone {found[0].rpartition(':')[2]} in place of the default {missing}"])


def fallbacks_of(task: type[Task]) -> tuple[str, ...]:
    """Return the fallbacks that go with a task's default backbone: those of the class which names the default."""
    for cls in task.__mro__:
        if "fallback_backbones" in vars(cls):
            return task.fallback_backbones
        if "default_backbone" in vars(cls):
            return ()
    return ()


def _own(catalogue: Catalogue, entry: Entry, name: str) -> str:
    """Return the name of a task's backbone; one of the task's own distribution is meant before all others."""
    if entry.source is not None:
        own = f"{normalized(entry.source.distribution)}:{name}"
        if any(brought.qualified == own for brought in catalogue.entries("backbone")):
            return own
    return name
