"""A label set learnt from training data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from headstock.interfaces import DataError
from headstock_registry import nearest


class LabelSet:
    """Labels in sorted order and the number of each."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        self._index = {name: number for number, name in enumerate(self.names)}

    @classmethod
    def learn(cls, seen: Iterable[str], least: int = 2) -> LabelSet:
        """Make the set of all labels seen; numbers sort as numbers.

        Raises:
            DataError: fewer than ``least`` labels.
        """
        names = sorted(set(seen), key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))
        if len(names) < least:
            have = f"only '{names[0]}'" if names else "none"
            raise DataError(
                f"the training data must have at least {'two labels' if least == 2 else 'one label'}; it has {have}"
            )
        return cls(names)

    def __len__(self) -> int:
        return len(self.names)

    def number(self, name: str) -> int:
        """Return a label's number.

        Raises:
            DataError: the training data did not have the label.
        """
        if name not in self._index:
            raise DataError(f"label '{name}' is not in the training data{nearest(name, self.names)}")
        return self._index[name]


def balanced_weights(names: Sequence[str], seen: Iterable[str]) -> list[float]:
    """Return one weight a label, inverse to its frequency: examples / (labels x examples of the label).

    The same as scikit-learn's ``class_weight="balanced"``.
    """
    counts = Counter(seen)
    total = sum(counts.values())
    return [total / (len(names) * counts[name]) for name in names]
