"""What a task tells about its predictions beyond single figures, in a form that any report can draw."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class ConfusionMatrix(BaseModel):
    """How often each reference label (row) was predicted as each label (column)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


class Details(BaseModel):
    """Metrics per class (``{class: {metric: value}}``) and, where it makes sense, a confusion matrix."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_class: dict[str, dict[str, float]] = {}
    confusion: ConfusionMatrix | None = None
