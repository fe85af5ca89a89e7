"""What tasks with a learnt label set have in common: its state, and class weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from headstock.interfaces import Config, Task
from headstock.kits.labels import LabelSet


class LabelledConfig(Config):
    """Options of every task with a label set."""

    dropout: float = Field(0.1, ge=0, lt=1, description="dropout before the classification layer")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="fraction of the target spread evenly over all labels")
    class_weights: Literal["none", "balanced"] | dict[str, Annotated[float, Field(gt=0, le=1e6)]] = Field(
        "none",
        description="what each label's loss counts: 'balanced': the inverse of its frequency in the training data; or "
        "a mapping of labels to weights (the others count 1)",
    )


class Labelled(Task):
    """Base of tasks that give something one of a set of labels; a subclass learns the set.

    Attributes:
        labels: The label set.
        weights: One weight a label for the loss, or ``None`` where all count the same.
    """

    Config = LabelledConfig

    def __init__(self, config: LabelledConfig) -> None:
        super().__init__(config)
        self.labels = LabelSet(())
        self.weights: list[float] | None = None
        self._placed: tuple[list[float], Tensor] | None = None

    def state(self) -> dict[str, Any]:
        """Return labels and class weights."""
        return {"labels": list(self.labels.names), "weights": self.weights}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back labels and class weights."""
        self.labels = LabelSet(state["labels"])
        self.weights = state["weights"]

    def canonical(self, reference: Any) -> Any:
        """Return a label, or each of a list of labels, in the spelling that was learnt; anything else as it is."""
        if isinstance(reference, str):
            return self.labels.canonical(reference)
        if isinstance(reference, list):
            return [self.canonical(part) for part in reference]
        return reference

    def label_counts(self, references: Sequence[Any]) -> dict[str, int]:
        """Return how many references are a label or have it in their list; labels in their order, then unknown ones."""
        counts = Counter(label for reference in references for label in _labels(self.canonical(reference)))
        return {name: counts.pop(name) for name in self.labels.names if name in counts} | dict(counts)

    def weights_on(self, device: torch.device) -> Tensor | None:
        """Return the class weights as a tensor, made once: a copy to the GPU in every step would stop the host."""
        if self.weights is None:
            return None
        if self._placed is None or self._placed[0] is not self.weights or self._placed[1].device != device:
            self._placed = self.weights, torch.tensor(self.weights, device=device)
        return self._placed[1]


def _labels(reference: Any) -> Iterable[str]:
    if isinstance(reference, str):
        return (reference,)
    return (part for part in reference if isinstance(part, str)) if isinstance(reference, list) else ()
