"""Rows as lines of aligned text, by the columns that characters take in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len


def aligned(rows: Sequence[Sequence[str]], *, right: bool = False) -> list[str]:
    """Return a line for each row, its cells padded to the widest of their column and two blanks apart.

    Args:
        rows: As many cells in each; East Asian wide characters count as two columns.
        right: Whether all columns but the first are aligned at the right, as numbers are.
    """
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(_padded(row, widths, right)).rstrip() for row in rows]


def _padded(row: Sequence[str], widths: Sequence[int], right: bool) -> list[str]:
    cells = []
    for position, (cell, width) in enumerate(zip(row, widths, strict=True)):
        room = " " * (width - cell_len(cell))
        cells.append(room + cell if right and position else cell + room)
    return cells
