"""Which names the code of a plugin mentions, read as text, for a plugin that cannot be imported."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from headstock_registry.entries import NAME_PATTERN

_QUOTED_NAME = re.compile(rf"""(["'])({NAME_PATTERN})\1""")
_LARGEST = 1_000_000
"""Bytes of code from which on a module is not looked at."""


def names_in(module: str) -> frozenset[str]:
    """Return what stands in quotes in a module's source and could be an entry's name. Nothing is imported.

    Empty where there is no source to be found.
    """
    try:
        file = _source_file(module)
        if file is None or file.stat().st_size > _LARGEST:
            return frozenset()
        text = file.read_text("utf-8", errors="replace")
    except Exception:  # finders of editable installations are code of others, and files may vanish
        return frozenset()
    return frozenset(found[1] for found in _QUOTED_NAME.findall(text))


def _source_file(module: str) -> Path | None:
    """Return the file of a module; of packages only the outermost is looked up, which imports nothing."""
    package, *inner = module.split(".")
    spec = importlib.util.find_spec(package)
    if spec is None:
        return None
    if not inner:
        return None if spec.origin is None else Path(spec.origin)
    for place in spec.submodule_search_locations or ():
        below = Path(place, *inner)
        for file in (below.with_name(f"{below.name}.py"), below / "__init__.py"):
            if file.is_file():
                return file
    return None
