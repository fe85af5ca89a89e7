"""Prints the public API, one line a name, signature or field: what plugins and programs are written against.

python tests/api/listing.py > tests/api/v1.txt
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import griffe

ROOT = Path(__file__).parents[2]
MODULES = (
    "headstock",
    "headstock.testing",
    "headstock.kits",
    "headstock.kits.packaged",
    "headstock.kits.pooling",
    "headstock.kits.pretrained",
    "headstock.kits.weights",
)


def listing() -> list[str]:
    """Return the lines, sorted."""
    loader = griffe.GriffeLoader(search_paths=[str(ROOT / part) for part in ("core", "registry")])
    loader.load("headstock_registry")
    package = loader.load("headstock")
    loader.resolve_aliases(external=False)
    lines: set[str] = set()
    for name in MODULES:
        module = package if name == "headstock" else package[name.removeprefix("headstock.")]
        for export in module.exports or ():
            found = module.members.get(str(export))
            if found is None:
                raise LookupError(f"{name}.{export} is in __all__ and nowhere else")
            lines.update(_lines(f"{name}.{export}", found.final_target if found.is_alias else found))
    return sorted(lines)


def _lines(path: str, found: griffe.Object) -> Iterator[str]:
    if found.is_function:
        yield f"{path}{_signature(found)}"
    elif found.is_class:
        bases = ", ".join(str(base) for base in found.bases)
        yield f"{path} class({bases})"
        for name, member in found.members.items():
            if name.startswith("_") and name != "__init__":
                continue
            if not member.is_alias:
                yield from _member(f"{path}.{name}", member)
    else:
        yield path


def _member(path: str, member: griffe.Object) -> Iterator[str]:
    if member.is_function:
        abstract = "abstract " if "abstractmethod" in member.labels or _is_abstract(member) else ""
        yield f"{path}{_signature(member)}{' ' + abstract.strip() if abstract else ''}"
    elif member.is_attribute and member.annotation is not None:
        yield f"{path}: {member.annotation}"
    elif member.is_attribute:
        yield path


def _is_abstract(member: griffe.Object) -> bool:
    return any(str(each.value).endswith("abstractmethod") for each in member.decorators)


def _signature(function: griffe.Object) -> str:
    parts = []
    for parameter in function.parameters:
        star = {"variadic positional": "*", "variadic keyword": "**"}.get(
            parameter.kind.value if parameter.kind else "", ""
        )
        kind = "keyword " if parameter.kind and parameter.kind.value == "keyword-only" else ""
        annotation = "" if parameter.annotation is None else f": {parameter.annotation}"
        default = "" if parameter.default is None or star else f" = {parameter.default}"
        parts.append(f"{kind}{star}{parameter.name}{annotation}{default}")
    returns = "" if function.returns is None else f" -> {function.returns}"
    return f"({', '.join(parts)}){returns}"


if __name__ == "__main__":
    print("\n".join(listing()))
