"""A label set learnt from training data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from headstock.error_text import clipped
from headstock.interfaces import DataError, NoTargetError, note
from headstock.kits.spelling import counts_on, spelling_key
from headstock_registry import nearest

MANY = 50
"""Above this many labels a set may be no set at all, but a column of free text."""
UNIQUE = 0.9
"""From this fraction of labels that differ, it is."""
LONGEST = 60
"""Characters that a message shows of a label."""
SHOWN = 5
"""Labels that a message shows as examples."""


class LabelSet:
    """Labels in sorted order and the number of each.

    Other spellings of a label's value are that label: ``1.0`` is ``1``, ``True`` is ``true``; blanks around it and the
    way in which Unicode composes its characters do not count. Upper and lower case of words do.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        self._index = {name: index for index, name in enumerate(self.names)}
        self._by_key: dict[str, str | None] = {}
        for name in self.names:
            key = spelling_key(name)
            # Two labels of one key were told apart on purpose: which one another spelling means is not certain.
            self._by_key[key] = None if key in self._by_key else name
        self._seen: int | None = None

    @classmethod
    def learn(cls, seen: Iterable[str], least: int = 2) -> LabelSet:
        """Make the set of all labels seen, each in its most frequent spelling; numbers sort as numbers.

        What was united, and labels that differ only in case, are noted (:func:`headstock.note`).

        Raises:
            DataError: fewer than ``least`` labels.
        """
        counts = _united(Counter(seen))
        _note_similar(counts)
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

    def index(self, name: str) -> int:
        """Return the index of a label, in any spelling.

        Raises:
            NoTargetError: the training data did not have the label.
            DataError: nor is it likely to have, for what it has as labels looks like free text.
        """
        name = self.canonical(name)
        if name not in self._index:
            missing = f"label '{clipped(name, LONGEST)}' is not in the training data"
            if self._seen is not None and len(self) > MANY and len(self) >= UNIQUE * self._seen:
                raise DataError(
                    f"{missing}; {len(self)} different labels among {self._seen} look like free text: "
                    "say with data.columns.label which column holds the label"
                )
            raise NoTargetError(f"{missing}{nearest(name, self.names)}")
        return self._index[name]

    def canonical(self, name: str) -> str:
        """Return the label of which ``name`` is a spelling, or ``name`` itself if it is of none."""
        if name in self._index or counts_on(name, self._index):
            return name
        return self._by_key.get(spelling_key(name)) or name

    def with_others(self, seen: Iterable[str]) -> tuple[str, ...]:
        """Return the names, and behind them, sorted, what is seen beside: labels of other data than training's."""
        return (*self.names, *sorted(set(seen) - set(self._index)))


def _united(counts: Counter[str]) -> Counter[str]:
    """Return counts by value: of each value's spellings, the most frequent one stands for all."""
    spellings: dict[str, list[str]] = {}
    for name in counts:
        key = f"version {name}" if counts_on(name, counts) else spelling_key(name)
        spellings.setdefault(key, []).append(name)
    united: Counter[str] = Counter()
    changed: list[str] = []
    rows = 0
    for names in spellings.values():
        chosen, *others = sorted(names, key=lambda name: (-counts[name], len(name), name))
        united[chosen] = sum(counts[name] for name in names)
        changed += [f"'{clipped(name, LONGEST)}' as '{clipped(chosen, LONGEST)}'" for name in others]
        rows += sum(counts[name] for name in others)
    note(f"labels read as another spelling of the same value ({_examples(changed)})", rows)
    return united


def _note_similar(names: Iterable[str]) -> None:
    """Note labels that differ only in case, which may be one label or not."""
    similar: dict[str, list[str]] = {}
    for name in names:
        similar.setdefault(name.casefold(), []).append(name)
    groups = (sorted(same) for same in similar.values() if len(same) > 1)
    found = [" and ".join(f"'{clipped(name, LONGEST)}'" for name in same) for same in groups]
    note(f"warning: labels that differ only in upper and lower case are kept apart ({_examples(found)})", len(found))


def _examples(found: Sequence[str]) -> str:
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return ", ".join(found[:SHOWN]) + more


def class_weights(option: str | Mapping[str, float], names: Sequence[str], seen: Iterable[str]) -> list[float] | None:
    """Return one weight a label for the loss, or ``None`` where all count the same.

    Args:
        option: ``none``; ``balanced``: inverse to the label's frequency, as scikit-learn's ``class_weight`` has it; or
            weights by label, those that are left out 1.
        names: The labels.
        seen: The label of each training example; with ``balanced`` each of ``names`` must occur.

    Raises:
        DataError: a weight is given for what is no label.
    """
    if option == "none":
        return None
    if isinstance(option, Mapping):
        others = [label for label in option if label not in names]
        if others:
            raise DataError(
                f"task.class_weights has a weight for '{clipped(others[0], LONGEST)}', which is no label of the "
                f"training data{nearest(others[0], names)}"
            )
        return [float(option.get(name, 1.0)) for name in names]
    import numpy as np
    from sklearn.utils.class_weight import compute_class_weight

    weights: list[float] = compute_class_weight("balanced", classes=np.asarray(names), y=list(seen)).tolist()
    return weights
