"""From a catalogue entry to the class behind it."""

from __future__ import annotations

from typing import Any

from headstock.interfaces import Adapter, Backbone, Method, Task
from headstock_registry import Catalogue, Entry, PluginError

BASES = {"task": Task, "backbone": Backbone, "adapter": Adapter, "method": Method}
DECLARED = {
    "task": ("modality", "columns", "metrics", "default_backbone"),
    "backbone": ("modality",),
    "adapter": (),
    "method": (),
}
"""What a class of each kind must say of itself."""


def component_class(catalogue: Catalogue, entry: Entry) -> Any:
    """Import an entry's class and check that it is what the entry says.

    Raises:
        PluginError: the module does not import, the target is of another kind, or leaves out what it must declare.
    """
    target = catalogue.resolve(entry)
    base = BASES[entry.kind]
    if not (isinstance(target, type) and issubclass(target, base)):
        raise PluginError(f"{entry} of {entry.source}: {entry.target} is not a subclass of headstock.{base.__name__}")
    silent = [name for name in DECLARED[entry.kind] if not hasattr(target, name)]
    if silent:
        raise PluginError(f"{entry} of {entry.source}: {entry.target} does not say its {', '.join(silent)}")
    return target
