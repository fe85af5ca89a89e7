"""A label set learnt from training data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from headstock.interfaces import DataError
from headstock_registry import nearest

MANY = 50
"""Above this many labels a set may be no set at all, but a column of free text."""
UNIQUE = 0.9
"""From this share of labels that differ, it is."""
LONGEST = 60
"""Characters that an error shows of a label."""


class LabelSet:
    """Labels in sorted order and the number of each."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        self._index = {name: number for number, name in enumerate(self.names)}
        self._seen: int | None = None

    @classmethod
    def learn(cls, seen: Iterable[str], least: int = 2) -> LabelSet:
        """Make the set of all labels seen; numbers sort as numbers.

        Raises:
            DataError: fewer than ``least`` labels.
        """
        counts = Counter(seen)
        names = sorted(counts, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))
        if len(names) < least:
            have = f"only '{names[0]}'" if names else "none"
            raise DataError(
                f"the training data must have at least {'two labels' if least == 2 else 'one label'}; it has {have}"
            )
        labels = cls(names)
        labels._seen = counts.total()
        return labels

    def __len__(self) -> int:
        return len(self.names)

    def number(self, name: str) -> int:
        """Return a label's number.

        Raises:
            DataError: the training data did not have the label.
        """
        if name not in self._index:
            raise DataError(f"label '{_short(name)}' is not in the training data{self._why_not(name)}")
        return self._index[name]

    def _why_not(self, name: str) -> str:
        if self._seen is None or len(self) <= MANY or len(self) < UNIQUE * self._seen:
            return nearest(name, self.names)
        return (
            f"; {len(self)} different labels among {self._seen} look like free text: "
            "say with data.columns.label which column holds the label"
        )


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def balanced_weights(names: Sequence[str], seen: Iterable[str]) -> list[float]:
    """Return one weight a label, inverse to its frequency: examples / (labels x examples of the label).

    The same as scikit-learn's ``class_weight="balanced"``.
    """
    counts = Counter(seen)
    total = sum(counts.values())
    return [total / (len(names) * counts[name]) for name in names]
