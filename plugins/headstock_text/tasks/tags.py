"""Entity tags: other schemes to IOB2, and spans out of IOB2.

In IOB2 each entity starts with ``B-type`` and goes on with ``I-type``; all other words are ``O``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from headstock.interfaces import BadExampleError

STARTS = frozenset("BSU")
"""Prefixes that always start an entity: begin; single (BIOES); unit (BILOU)."""

GOES_ON = frozenset("IMEL")
"""Prefixes that carry an entity on: inside; middle (BMES); end (BIOES); last (BILOU)."""

ENDS = frozenset("ESLU")
"""Prefixes after which an entity is over."""


class Entity(NamedTuple):
    """Words ``start`` to ``end`` (exclusive) are one entity."""

    type: str
    start: int
    end: int


def to_iob2(tags: Sequence[str]) -> list[str]:
    """Turn tags of the schemes IOB1, IOB2, BIOES, BILOU or BMES into IOB2.

    A tag that carries on an entity which is not there starts one, as the evaluation of CoNLL-2000 reads it.

    Raises:
        BadExampleError: a tag is neither ``O`` nor a prefix with a type.
    """
    converted = []
    open_type = None
    for tag in tags:
        if tag == "O":
            converted.append(tag)
            open_type = None
            continue
        prefix, dash, kind = tag.partition("-")
        if not dash or not kind or prefix not in STARTS | GOES_ON:
            raise BadExampleError(f"tag '{tag}' is neither O nor a type with a prefix, such as B-PER and I-PER")
        goes_on = prefix in GOES_ON and kind == open_type
        converted.append(f"{'I' if goes_on else 'B'}-{kind}")
        open_type = None if prefix in ENDS else kind
    return converted


def entity_types(tags: Iterable[str]) -> list[str]:
    """Return the sorted types that occur in IOB2 tags."""
    return sorted({tag[2:] for tag in tags if tag != "O"})


def entities(tags: Sequence[str]) -> list[Entity]:
    """Return the entities of IOB2 tags, in order."""
    found: list[Entity] = []
    for position, tag in enumerate(to_iob2(tags)):
        if tag.startswith("B-"):
            found.append(Entity(tag[2:], position, position + 1))
        elif tag != "O":
            found[-1] = found[-1]._replace(end=position + 1)
    return found
