"""Rows with the same inputs: across splits they flatter the test, with other references they contradict each other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from headstock.digests import json_digest
from headstock.preprocessing.prepare import PreparedSplit

PAIRS = (("validation", "train"), ("test", "train"), ("test", "validation"))


def duplicate_lines(splits: Mapping[str, PreparedSplit]) -> list[str]:
    """Return a line for each pair of splits with inputs in common, and one on equal inputs with unlike references."""
    contents = {name: split.split.contents.array() for name, split in splits.items()}
    lines = []
    for name, other in PAIRS:
        if name in contents and other in contents:
            inside = int(np.isin(contents[name], contents[other]).sum())
            if inside:
                share = f"{inside:,} of {len(contents[name]):,} {name} rows"
                lines.append(f"warning: {share} are duplicates: rows of {other} have the same inputs")
    return lines + _contradictions(splits, np.concatenate(list(contents.values())))


def _contradictions(splits: Mapping[str, PreparedSplit], contents: NDArray[np.bytes_]) -> list[str]:
    _, groups, sizes = np.unique(contents, return_inverse=True, return_counts=True)
    groups = groups.reshape(-1)
    names = list(splits)
    ends = np.cumsum([len(splits[name]) for name in names])
    seen: dict[int, dict[str, str]] = {}
    rows: dict[int, int] = {}
    for position in np.flatnonzero(sizes[groups] > 1).tolist():
        of = int(np.searchsorted(ends, position, side="right"))
        split = splits[names[of]]
        index = position - (int(ends[of - 1]) if of else 0)
        group = int(groups[position])
        rows[group] = rows.get(group, 0) + 1
        seen.setdefault(group, {}).setdefault(json_digest(split.split.references[index]), split.where(index))
    unlike = {group: rows_of for group, rows_of in seen.items() if len(rows_of) > 1}
    if not unlike:
        return []
    total = sum(rows[group] for group in unlike)
    first, second = list(next(iter(unlike.values())).values())[:2]
    return [
        f"warning: {total:,} rows have inputs that stand elsewhere with another reference ({len(unlike):,} such "
        f"inputs), as {first} and {second}"
    ]
