"""Cuts rows that are in order: the first to train on, the last for the test. Pure: numbers in, numbers out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from headstock.data.splitting.cutting import Indices


def cut_in_order(units: Indices, sizes: Mapping[str, int], gap: int = 0) -> tuple[slice, dict[str, slice]]:
    """Return which rows are left for training, and which each part has: one after the other, the last part at the end.

    A part is as near to its size as whole units let it be, and has one at least.

    Args:
        units: For each row the number of its unit, which is in one part; int64 (N,), ascending.
        sizes: Size of each part in rows, in their order.
        gap: Rows before each part that are in none.

    Raises:
        ValueError: there are too few rows or units.
    """
    starts = np.flatnonzero(np.diff(units, prepend=-1))
    stop = len(units)
    parts: dict[str, slice] = {}
    for before, (name, size) in reversed(list(enumerate(sizes.items(), start=1))):
        possible = starts[starts < stop][before:]
        if not len(possible):
            raise ValueError(f"cannot take {len(sizes)} parts of {len(starts)} units with gaps of {gap} rows")
        start = int(possible[np.argmin(np.abs(possible - (stop - size)))])
        parts[name] = slice(start, stop)
        stop = start - gap
    if stop < 1:
        raise ValueError(f"nothing is left before {len(sizes)} parts and their gaps of {gap} rows")
    return slice(0, stop), {name: parts[name] for name in sizes}
