"""Finds signs in training data that a random cut puts nearly the same examples into several splits."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from itertools import islice, pairwise

from headstock.data.splitting.groups import key_of
from headstock.data.splitting.order import places_of
from headstock.data.tables.table import Table
from headstock.data.telling_names import says_surely_whose, says_when, says_whose
from headstock.interfaces import note

FEWEST_ROWS = 20
"""Rows below which nothing can be told."""
FEWEST_TIMES = 5
"""Different points in time below which an order may be chance."""
LONGEST = 40
"""Characters that identifiers and times have, at most."""
RECURRING = 0.9
"""Share of a column's values that must recur, or look like identifiers."""

_DIGIT = re.compile(r"\d")


def warn_of_likely_groups(train: Table, splits: Mapping[str, Table], but: Iterable[str]) -> None:
    """Note the columns whose name and values look like those of persons or series, and whose rows were torn apart.

    Args:
        train: The training data that splits were cut from.
        splits: What was cut from it, ``train`` too.
        but: Columns that are not looked at.
    """
    for column in _candidates(train, but):
        if says_whose(column) and _recur(Counter(map(key_of, train.values_of(column))), says_surely_whose(column)):
            inside = [set(map(key_of, table.values_of(column))) - {None} for table in splits.values()]
            counts = Counter(key for keys in inside for key in keys)
            torn = sum(count > 1 for count in counts.values())
            option = shlex.quote(f"data.group={column}")
            what = f"warning: rows of one '{column}' are in several splits; {option} keeps them together"
            note(f"{what}; such values", torn)


def warn_of_likely_order(train: Table, but: Iterable[str]) -> None:
    """Note the columns of dates or times that go up, or down, through the whole of the training data."""
    for column in _candidates(train, but):
        if not says_when(column):
            continue
        if len(train) >= FEWEST_ROWS and _goes_one_way(places_of(train.values_of(column))):
            option = shlex.join(["data.cut=ordered", f"data.order={column}"])
            what = f"warning: the data is in order of '{column}', and splits are cut at random"
            note(f"{what}; {option} tests on the latest; rows", len(train))


def _candidates(train: Table, but: Iterable[str]) -> list[str]:
    """Return the columns to look at: those of the data and the task that hold no long texts."""
    names = [column for column in dict.fromkeys((*train.columns, *train.beside)) if column not in set(but)]
    return [
        column
        for column in names
        if (says_whose(column) or says_when(column))
        and all(len(str(value)) <= LONGEST for value in islice(train.values_of(column), FEWEST_ROWS))
    ]


def _goes_one_way(places: Iterable[float | int | None]) -> bool:
    """Tell whether all values have a place, which goes up from each to the next or down, and several differ."""
    up = down = 0
    for before, after in pairwise(places):
        if before is None or after is None:
            return False
        up += after > before
        down += after < before
        if up and down:
            return False
    return up + down >= FEWEST_TIMES - 1


def _recur(counts: Counter[Hashable | None], surely: bool) -> bool:
    """Tell whether values are those of groups: several, far fewer than rows, nearly all of them with several rows."""
    rows, blank = counts.total(), counts.pop(None, 0)
    if rows < FEWEST_ROWS or blank > (1 - RECURRING) * rows or not 3 <= len(counts) <= rows / 2:
        return False
    if sum(count > 1 for count in counts.values()) < RECURRING * len(counts):
        return False
    return surely or sum(bool(_DIGIT.search(str(key))) for key in counts) >= RECURRING * len(counts)
