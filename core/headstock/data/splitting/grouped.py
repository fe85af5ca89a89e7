"""Cuts whole groups of rows into splits, as evenly over classes as they let it. Pure: numbers in, numbers out."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from headstock.data.splitting.cutting import Indices

MOST_CLASSES = 200
"""Classes by which groups are spread evenly, at most; more are free text as a rule."""

Counts = NDArray[np.float64]


def cut_groups(
    groups: Indices, classes: Sequence[Hashable] | int, sizes: Mapping[str, int], seed: int
) -> tuple[Indices, dict[str, Indices]]:
    """Take parts of about the given sizes out of rows, whole groups at a time; return what is left, and the parts.

    In random order, each group goes to the part that most lacks its rows, class by class: the sum over classes of the
    squared distance from what each part should have is the least after every step. Every part gets a group at least,
    and classes of one group alone stay in what is left, as far as there are groups enough.

    Args:
        groups: For each row the number of its group, int64 (N,).
        classes: The class of each row, or the number of rows if there are no classes.
        sizes: Size of each part, at least 1; together less than the number of rows.
        seed: Seed of the order.

    Raises:
        ValueError: there are not more groups than parts.
    """
    _, groups = np.unique(groups, return_inverse=True)
    groups = groups.reshape(-1)
    counts = _counts(groups, classes)
    if len(counts) <= len(sizes):
        raise ValueError(f"cannot take {len(sizes)} parts of {len(counts)} groups")
    rows = len(groups)
    fractions = np.asarray([rows - sum(sizes.values()), *sizes.values()], dtype=np.float64) / rows
    owners = _assigned(counts, fractions, seed)
    parts = [np.flatnonzero(owners[groups] == number) for number in range(len(fractions))]
    return parts[0], dict(zip(sizes, parts[1:], strict=True))


def joined(groups: Indices, contents: Indices, parts: int) -> Indices:
    """Return groups joined where they share a content, so that duplicates stay together too.

    Where that would chain groups to one of more than a tenth of all rows, or to too few, they are returned as they are.

    Args:
        groups: For each row the number of its group, int64 (N,).
        contents: For each row the number of its content, int64 (N,).
        parts: How many parts are to be cut.
    """
    ids = groups
    while True:
        least = np.full(int(contents.max()) + 1, np.iinfo(np.int64).max)
        np.minimum.at(least, contents, ids)
        lower = np.full(int(groups.max()) + 1, np.iinfo(np.int64).max)
        np.minimum.at(lower, groups, least[contents])
        if np.array_equal(lower[groups], ids):
            break
        ids = lower[groups]
    sizes = np.unique(ids, return_counts=True)[1]
    largest = max(int(np.bincount(groups).max()), len(groups) // 10)
    return ids if len(sizes) > parts and int(sizes.max()) <= largest else groups


def _counts(groups: Indices, classes: Sequence[Hashable] | int) -> Counts:
    """Return how many rows of each class each group has, and how many in all, float64 (G, C)."""
    count = int(groups.max()) + 1
    total = np.bincount(groups, minlength=count).astype(np.float64)[:, None]
    if isinstance(classes, int):
        return total
    known: dict[Hashable, int] = {}
    numbers = np.asarray([known.setdefault(name, len(known)) for name in classes], dtype=np.int64)
    if not 1 < len(known) <= MOST_CLASSES:
        return total
    table = np.zeros((count, len(known)), dtype=np.float64)
    np.add.at(table, (groups, numbers), 1)
    return np.concatenate([total, table], axis=1)


def _assigned(counts: Counts, fractions: Counts, seed: int) -> Indices:
    """Return for each group the number of its part; 0 is what is left."""
    totals = counts.sum(0)
    weights = 1 / totals
    lacking = fractions[:, None] * totals
    owners = np.zeros(len(counts), dtype=np.int64)
    # A class that one group alone has cannot be in two parts: it is for training.
    alone = ((counts > 0)[:, 1:].sum(0) == 1).nonzero()[0] + 1
    pinned = np.zeros(len(counts), dtype=np.bool_)
    pinned[counts[:, alone].any(1)] = True
    if len(counts) - int(pinned.sum()) < len(fractions) - 1:
        pinned[:] = False
    lacking[0] -= counts[pinned].sum(0)
    order = np.argsort(np.random.PCG64(seed).random_raw(len(counts)), kind="stable")
    for group in order[~pinned[order]].tolist():
        part = int(np.argmax(lacking @ (counts[group] * weights)))
        owners[group] = part
        lacking[part] -= counts[group]
    _fill_empty(owners, counts, len(fractions))
    _fill_training(owners, counts)
    return owners


def _fill_empty(owners: Indices, counts: Counts, parts: int) -> None:
    """Give every part a group: of the part with most groups a small one, whose classes others there have too if any."""
    for part in range(parts):
        if (owners == part).any():
            continue
        richest = int(np.argmax(np.bincount(owners, minlength=parts)))
        inside = np.flatnonzero(owners == richest)
        left = counts[inside].sum(0) - counts[inside]
        bare = ((left == 0) & (counts[inside] > 0)).sum(1)
        owners[inside[np.lexsort((counts[inside, 0], bare))[0]]] = part


def _fill_training(owners: Indices, counts: Counts) -> None:
    """Bring a group of each class that training lacks there, the smallest, from a part that has others too."""
    for column in np.flatnonzero(counts[owners == 0].sum(0) == 0).tolist():
        others = np.bincount(owners)[owners] > 1
        holding = np.flatnonzero((counts[:, column] > 0) & others & (owners > 0))
        if len(holding) and not counts[owners == 0, column].any():
            owners[holding[np.argmin(counts[holding, 0])]] = 0
