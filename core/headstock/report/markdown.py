"""Texts of users in Markdown: labels, names and paths are shown as they are, and none of them is markup."""

from __future__ import annotations

import re
from collections.abc import Sequence

from headstock.error_text import clipped, printable

LONGEST_CELL = 200
"""Characters of a text that a table or a sentence shows."""
_MARKUP = re.compile(r"[\\`*_\[\]|$~#!]")
_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def plain(text: str) -> str:
    """Return a text as Markdown that shows it in one line, and does nothing else."""
    return _MARKUP.sub(r"\\\g<0>", clipped(printable(text), LONGEST_CELL)).translate(_HTML)


def code(text: str) -> str:
    """Return a text as code within a line."""
    line = printable(text)
    ticks = "`" * (_longest_ticks(line) + 1)
    edge = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{ticks}{edge}{line}{edge}{ticks}"


def block(text: str, language: str) -> str:
    """Return lines as a block of code, behind a fence that none of them ends."""
    fence = "`" * max(3, _longest_ticks(text) + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as a table, the header first, numbers to the right of the first column."""
    header, *others = rows
    lines = [_row(header), f"| --- |{' ---: |' * (len(header) - 1)}", *map(_row, others)]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(plain, cells))} |"


def _longest_ticks(text: str) -> int:
    return max((len(found) for found in re.findall("`+", text)), default=0)
