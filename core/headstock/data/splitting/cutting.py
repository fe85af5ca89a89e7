"""Cuts rows into splits, at random but always the same way, and evenly over classes. Pure: numbers in, numbers out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def cut(
    classes: Sequence[Hashable] | int, sizes: Mapping[str, int], seed: int, groups: Indices | None = None
) -> tuple[Indices, dict[str, Indices]]:
    """Take parts of given sizes out of rows; return what is left, and the parts, each in ascending order.

    Every part has every class in proportion, rounded by largest remainder. Of every class one row is left at least, as
    long as the other classes can fill the parts; a class of a single row gives it up only if they cannot.
    Rows of a group stay together, so that parts are only about as large as asked where groups are large.

    Args:
        classes: The class of each row, or the number of rows if there are no classes.
        sizes: Size of each part, at least 1; together less than the number of rows.
        seed: Seed of the choice within a class.
        groups: For each row the number of its group, int64 (N,); by default each row is one by itself.
    """
    if groups is not None and len(np.unique(groups)) < len(groups):
        return _cut_groups(classes, sizes, seed, groups)
    members = _members(classes)
    total = sum(len(rows) for rows in members)
    asked = sum(sizes.values())
    if not 0 < asked < total:
        raise ValueError(f"cannot take {asked} of {total} rows")
    spare = [len(rows) - 1 for rows in members]
    if sum(spare) < asked:
        spare = [max(1, number) for number in spare]
    if sum(spare) < asked:
        sizes = shrunk(sizes, sum(spare))
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


def _cut_groups(
    classes: Sequence[Hashable] | int, sizes: Mapping[str, int], seed: int, groups: Indices
) -> tuple[Indices, dict[str, Indices]]:
    """Cut as :func:`cut` does, group by group. One group of each class is left at least."""
    units = _units(classes, groups)
    source = np.random.PCG64(seed)
    queues = [[of_class[i] for i in np.argsort(source.random_raw(len(of_class)), kind="stable")] for of_class in units]
    rest = [queue.pop() for queue in queues]
    if sum(map(len, queues)) < len(sizes):
        raise ValueError(f"cannot take {len(sizes)} parts of {sum(map(len, queues))} groups")
    counts = [sum(map(len, of_class)) for of_class in units]
    parts: dict[str, Indices] = {}
    for later, (name, size) in zip(range(len(sizes) - 1, -1, -1), sizes.items(), strict=True):
        spare = [sum(map(len, queue)) for queue in queues]
        quotas = share(min(size, sum(spare)), counts, spare)
        chosen: list[Indices] = []
        for queue, quota in zip(queues, quotas, strict=True):
            chosen += _fill(queue, quota, sum(map(len, queues)) - later)
        # What no class could fill with whole groups goes to any class that can.
        for queue in queues:
            chosen += _fill(queue, size - sum(map(len, chosen)), sum(map(len, queues)) - later)
        if not chosen:
            smallest = min((queue for queue in queues if queue), key=lambda queue: min(map(len, queue)))
            chosen.append(smallest.pop(min(range(len(smallest)), key=lambda i: len(smallest[i]))))
        parts[name] = np.sort(np.concatenate(chosen))
    return np.sort(np.concatenate([*rest, *(unit for queue in queues for unit in queue)])), parts


def _fill(queue: list[Indices], room: int, most: int) -> list[Indices]:
    """Take the first groups that fit into ``room`` out of a queue, ``most`` of them at most."""
    chosen: list[Indices] = []
    left: list[Indices] = []
    for unit in queue:
        fits = len(unit) <= room and len(chosen) < most
        (chosen if fits else left).append(unit)
        room -= len(unit) if fits else 0
    # Where whole groups leave a gap, one that is larger by just that much closes it.
    by_size = {len(unit): j for j, unit in enumerate(left)}
    i = next((i for i, unit in enumerate(chosen) if room and len(unit) + room in by_size), None)
    if i is not None:
        j = by_size[len(chosen[i]) + room]
        chosen[i], left[j] = left[j], chosen[i]
    queue[:] = left
    return chosen


def _units(classes: Sequence[Hashable] | int, groups: Indices) -> list[list[Indices]]:
    """Return each class's groups of rows; a group with rows of several classes belongs to the rarest of them."""
    names = [None] * classes if isinstance(classes, int) else classes
    frequency = Counter(names)
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order]) != 0) + 1
    units = sorted(np.split(order, starts), key=lambda unit: int(unit[0]))
    by_class: dict[Hashable, list[Indices]] = {}
    for unit in units:
        rarest = min((names[row] for row in unit.tolist()), key=lambda name: frequency[name])
        by_class.setdefault(rarest, []).append(unit)
    return list(by_class.values())


def pick(classes: Sequence[Hashable] | int, size: int, seed: int) -> Indices:
    """Return ``size`` rows, in ascending order, with every class in proportion and, if there is room, at least once."""
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


def shrunk(sizes: Mapping[str, int], room: int) -> dict[str, int]:
    """Return sizes that fit into ``room``, in proportion and none below 1."""
    names = list(sizes)
    more = share(room - len(names), [sizes[name] for name in names], [sizes[name] - 1 for name in names])
    return {name: 1 + extra for name, extra in zip(names, more, strict=True)}
