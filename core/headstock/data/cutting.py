"""Cuts rows into splits, at random but always the same way, and evenly over classes. Pure: numbers in, numbers out."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def cut(classes: Sequence[Hashable] | int, sizes: Mapping[str, int], seed: int) -> tuple[Indices, dict[str, Indices]]:
    """Take parts of given sizes out of rows; return what is left, and the parts, each in ascending order.

    Every part has its share of every class, rounded by largest remainder. Of every class one row is left at least, as
    long as the other classes can fill the parts; a class of a single row gives it up only if they cannot.

    Args:
        classes: The class of each row, or the number of rows if there are no classes.
        sizes: Size of each part, at least 1; together less than the number of rows.
        seed: Seed of the choice within a class.
    """
    members = _members(classes)
    total = sum(len(rows) for rows in members)
    asked = sum(sizes.values())
    if not 0 < asked < total:
        raise ValueError(f"cannot take {asked} of {total} rows")
    spare = [len(rows) - 1 for rows in members]
    if sum(spare) < asked:
        spare = [max(1, number) for number in spare]
    if sum(spare) < asked:
        sizes = _shrunk(sizes, sum(spare))
    shuffled = _shuffled(members, seed)
    counts = [len(rows) for rows in members]
    used = [0] * len(members)
    parts: dict[str, Indices] = {}
    for name, size in sizes.items():
        taken = share(size, counts, spare)
        chosen = [rows[u : u + t] for rows, u, t in zip(shuffled, used, taken, strict=True)]
        parts[name] = np.sort(np.concatenate(chosen))
        used = [u + t for u, t in zip(used, taken, strict=True)]
        spare = [s - t for s, t in zip(spare, taken, strict=True)]
    rest = np.sort(np.concatenate([rows[u:] for rows, u in zip(shuffled, used, strict=True)]))
    return rest, parts


def pick(classes: Sequence[Hashable] | int, size: int, seed: int) -> Indices:
    """Return ``size`` rows, in ascending order, with every class in its share and, if there is room, at least once."""
    members = _members(classes)
    counts = [len(rows) for rows in members]
    if size >= sum(counts):
        return np.arange(sum(counts))
    once = 1 if size >= len(members) else 0
    more = share(size - once * len(members), counts, [count - once for count in counts])
    chosen = [rows[: once + extra] for rows, extra in zip(_shuffled(members, seed), more, strict=True)]
    return np.sort(np.concatenate(chosen))


def share(size: int, counts: Sequence[int], limits: Sequence[int]) -> list[int]:
    """Divide ``size`` in proportion to ``counts`` by largest remainder, none beyond its limit. In whole numbers only.

    ``size`` is at most the sum of ``limits``. What a limit turns away goes to the others in proportion.
    """
    result = [0] * len(counts)
    left = size
    open_ = list(range(len(counts)))
    while True:
        weight = sum(counts[i] for i in open_)
        full = [i for i in open_ if left * counts[i] > limits[i] * weight]
        if not full:
            break
        for i in full:
            result[i] = limits[i]
        left -= sum(limits[i] for i in full)
        open_ = sorted(set(open_) - set(full))
    for i in open_:
        result[i] = left * counts[i] // weight if weight else 0
    by_remainder = sorted(open_, key=lambda i: (-(left * counts[i] - result[i] * weight), i))
    for i in by_remainder[: left - sum(result[i] for i in open_)]:
        result[i] += 1
    return result


def _members(classes: Sequence[Hashable] | int) -> list[Indices]:
    """Return the rows of each class, classes in the order in which they first appear."""
    if isinstance(classes, int):
        return [np.arange(classes)]
    rows: dict[Hashable, list[int]] = {}
    for index, name in enumerate(classes):
        rows.setdefault(name, []).append(index)
    return [np.array(members, dtype=np.int64) for members in rows.values()]


def _shuffled(members: Sequence[Indices], seed: int) -> list[Indices]:
    """Shuffle each class by sorting raw 64-bit draws, the one thing that NumPy promises never to change (NEP 19)."""
    source = np.random.PCG64(seed)
    return [rows[np.argsort(source.random_raw(len(rows)), kind="stable")] for rows in members]


def _shrunk(sizes: Mapping[str, int], room: int) -> dict[str, int]:
    """Return sizes that fit into ``room``, in proportion and none below 1."""
    names = list(sizes)
    more = share(room - len(names), [sizes[name] for name in names], [sizes[name] - 1 for name in names])
    return {name: 1 + extra for name, extra in zip(names, more, strict=True)}
