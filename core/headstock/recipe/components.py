"""From a catalogue entry to the class behind it."""

from __future__ import annotations

from typing import Any

from headstock.interfaces import Adapter, Backbone, Task
from headstock_registry import Catalogue, Entry, PluginError

BASES = {"task": Task, "backbone": Backbone, "adapter": Adapter}


def component_class(catalogue: Catalogue, entry: Entry) -> Any:
    """Import an entry's class and check that it is what the entry says.

    Raises:
        PluginError: the module does not import, or the target is of another kind.
    """
    target = catalogue.resolve(entry)
    base = BASES[entry.kind]
    if not (isinstance(target, type) and issubclass(target, base)):
        raise PluginError(f"{entry} of {entry.source}: {entry.target} is not a subclass of headstock.{base.__name__}")
    return target
