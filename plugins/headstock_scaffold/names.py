"""The names in a new plugin, all made from one."""

from __future__ import annotations

import importlib.util
import keyword
import re
from typing import NamedTuple

import headstock
from headstock import HeadstockError
from headstock_registry import Catalogue

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST = 30
IMPORTED = ("Any", "Field", "Iterable", "Mapping", "Path", "Self", "Sequence", "Tensor")
"""Names that the templates import from elsewhere."""


class Names(NamedTuple):
    """Names of a component and of what is around it.

    Attributes:
        name: As in a recipe: ``sound-events``.
        distribution: As on the package index: ``headstock-sound-events``.
        package: As in an import: ``headstock_sound_events``.
        class_name: ``SoundEvents``.
    """

    name: str
    distribution: str
    package: str
    class_name: str


def names_for(kind: str, name: str, catalogue: Catalogue) -> Names:
    """Return the names of a new plugin.

    Raises:
        HeadstockError: ``name`` cannot be a component's name, or something installed has it.
    """
    if not _NAME.fullmatch(name) or len(name) > LONGEST:
        fix = re.sub(r"[^a-z0-9]+", "-", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()).strip("-0123456789")
        advice = f"; try '{fix}'" if _NAME.fullmatch(fix) and len(fix) <= LONGEST else ""
        raise HeadstockError(
            f"'{name}' cannot be the name of a {kind}: it must begin with a letter and have small letters, digits and "
            f"single dashes, {LONGEST} characters at most{advice}"
        )
    for entry in catalogue.entries(kind):
        if entry.name == name:
            raise HeadstockError(f"there is a {kind} '{name}' already, of {entry.source}; choose another name")
    class_name = "".join(part.capitalize() for part in name.split("-"))
    if keyword.iskeyword(class_name) or {class_name, f"{class_name}Config"} & {*headstock.__all__, *IMPORTED}:
        class_name += kind.capitalize()
    package = f"headstock_{name.replace('-', '_')}"
    distribution = f"headstock-{name}"
    if importlib.util.find_spec(package) is not None:
        raise HeadstockError(f"there is an installed package {package} already; choose another name")
    return Names(name, distribution, package, class_name)
