"""Tags of entities: schemes brought to IOB2, and spans read from it.

In IOB2 each entity starts with ``B-type`` and continues with ``I-type``; all other words are ``O``. The schemes are
described by Ratinov and Roth, "Design Challenges and Misconceptions in Named Entity Recognition", 2009.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

OUTSIDE = "O"
BEGIN = "BSU"
"""Prefixes that always begin an entity: begin; single (BIOES); unit (BILOU)."""
END = "ESLU"
"""Prefixes after which an entity is over: end (BIOES), last (BILOU), and both of a single word."""
_TAG = re.compile(r"O|[BIESULM]-\S(.*\S)?")


class Entity(NamedTuple):
    """Words ``start`` to ``end`` (exclusive) are one entity."""

    type: str
    start: int
    end: int


def is_tag(text: str) -> bool:
    """Return whether a text is ``O`` or a type with a prefix of one of the schemes."""
    return _TAG.fullmatch(text) is not None


def to_iob2(tags: Sequence[str]) -> list[str]:
    """Return a sentence's tags as IOB2.

    Takes IOB1 (``B-`` only between neighbours of one type), IOB2, BIOES, BMES and BILOU. One rule reads them all: an
    entity begins at B, S and U, and wherever the type changes or nothing is open; it ends at E, L, S and U.

    Raises:
        ValueError: something that is no tag.
    """
    result: list[str] = []
    opened: str | None = None
    for tag in tags:
        if not is_tag(tag):
            raise ValueError(f"tag '{tag}' is neither O nor a type with a prefix, such as B-PER and I-PER")
        prefix, _, kind = tag.partition("-")
        if prefix == OUTSIDE:
            result.append(OUTSIDE)
            opened = None
            continue
        result.append(f"{'B' if prefix in BEGIN or opened != kind else 'I'}-{kind}")
        opened = None if prefix in END else kind
    return result


def entity_types(tags: Iterable[str]) -> list[str]:
    """Return the sorted types that occur in IOB2 tags."""
    return sorted({tag[2:] for tag in tags if tag != OUTSIDE})


def entities(tags: Sequence[str]) -> list[Entity]:
    """Return the entities of a sentence's tags, in order."""
    found: list[Entity] = []
    for position, tag in enumerate(to_iob2(tags)):
        if tag.startswith("B-"):
            found.append(Entity(tag[2:], position, position + 1))
        elif tag != OUTSIDE:
            found[-1] = found[-1]._replace(end=position + 1)
    return found
