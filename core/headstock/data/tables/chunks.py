"""Rows in chunks whose size is bounded by number and by text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

Row = TypeVar("Row", bound=Mapping[str, Any])


def chunks(rows: Iterable[Row], most: int, characters: int) -> Iterator[list[Row]]:
    """Yield the rows in lists, in order.

    Args:
        rows: The rows.
        most: Rows of a list, at most.
        characters: Characters of all texts of a list, about: the row that reaches the number ends the list.
    """
    chunk: list[Row] = []
    size = 0
    for row in rows:
        chunk.append(row)
        for value in row.values():
            if isinstance(value, str):
                size += len(value)
        if len(chunk) == most or size >= characters:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
