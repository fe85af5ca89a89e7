"""What a task tells about its predictions beyond single figures, in a form that any report can draw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator


class ConfusionMatrix(BaseModel):
    """How often each reference label was predicted as each label.

    Attributes:
        labels: The labels' names.
        pairs: Index of a reference label, index of a predicted label, and how often they came together; sorted, and
            only pairs that came at all, so that the size follows the examples and not the square of the labels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: tuple[str, ...]
    pairs: tuple[tuple[int, int, int], ...]

    @classmethod
    def count(cls, labels: Sequence[str], pairs: Iterable[tuple[int, int]]) -> Self:
        """Count pairs of a reference label's and a predicted label's index."""
        counted = Counter(pairs)
        return cls(labels=tuple(labels), pairs=tuple((*pair, counted[pair]) for pair in sorted(counted)))

    @model_validator(mode="before")
    @classmethod
    def _from_rows(cls, value: Any) -> Any:
        """Read the record of an earlier version, which had all counts, row by row."""
        if not (isinstance(value, dict) and isinstance(value.get("counts"), list | tuple)):
            return value
        rows = [row if isinstance(row, list | tuple) else () for row in value["counts"]]
        pairs = [
            (row, column, count) for row, counts in enumerate(rows) for column, count in enumerate(counts) if count
        ]
        return {"labels": value.get("labels"), "pairs": pairs}

    @model_validator(mode="after")
    def _within_labels(self) -> Self:
        size = len(self.labels)
        for pair in self.pairs:
            if not (0 <= pair[0] < size and 0 <= pair[1] < size):
                raise ValueError(f"there are {size} labels, but a pair {list(pair)}")
        return self


class Details(BaseModel):
    """Metrics per class (``{class: {metric: value}}``) and, where it makes sense, a confusion matrix."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_class: dict[str, dict[str, float]] = {}
    confusion: ConfusionMatrix | None = None
