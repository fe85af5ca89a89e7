"""What a plugin says about each component it brings, without importing it."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, StringConstraints

API_VERSION: Final = 1
"""The plugin API this Headstock offers; a plugin writes the number it was made for into each of its entries."""

SUPPORTED_API_VERSIONS: Final = range(1, 2)
"""Plugin API versions that this Headstock still accepts."""

KINDS: Final = ("task", "backbone", "adapter", "method", "command")
"""Kinds of entry that this Headstock knows how to use."""

NAME_PATTERN: Final = r"[a-z0-9]+(-[a-z0-9]+)*"
"""What a name is made of: small letters and digits in groups, joined by single dashes."""

Name = Annotated[str, StringConstraints(pattern=f"^{NAME_PATTERN}$")]
Target = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
Summary = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120, pattern=r"^[^\n]*$")]


def normalized(distribution: str) -> str:
    """Return a distribution's name as package indexes compare names: ``My_Plugin`` and ``my-plugin`` are one."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


class Source(BaseModel):
    """The distribution and entry point that brought an entry; stamped by the loader, never by the plugin."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    plugin: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


class Entry(BaseModel):
    """One component that a plugin contributes.

    ``target`` is ``"module:attribute"`` and is imported only when the component is used. ``modality`` is an open
    string that pairs tasks with backbones (``None``: fits any). ``api_version`` is the plugin API that the component
    was written for. ``name`` has small letters, digits and single dashes, so that it can be written anywhere without
    quotes and never looks like a qualified name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    name: Name
    target: Target
    summary: Summary
    modality: str | None = None
    api_version: int
    source: Source | None = None

    @property
    def qualified(self) -> str:
        """``distribution:name``, which says whose component is meant where several have the name."""
        return self.name if self.source is None else f"{normalized(self.source.distribution)}:{self.name}"

    def __str__(self) -> str:
        return f"{self.kind} '{self.name}'"
