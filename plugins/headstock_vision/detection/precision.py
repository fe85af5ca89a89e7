"""Average precision as the COCO challenge measures it, by pycocotools through torchmetrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from headstock_vision.detection.objects import CROWD, SIDES

FIGURES = {"map": "map", "map_50": "map_50", "map_75": "map_75", "recall": "mar_100"}
"""Our metrics and what torchmetrics calls them."""


def measure(predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Tensor]:
    """Return what torchmetrics makes of predicted and true objects, figures per class among it."""
    known = {each["label"] for objects in (*predictions, *references) for each in objects}
    numbers = {label: number for number, label in enumerate(sorted(known))}
    from torchmetrics.detection import MeanAveragePrecision

    metric = MeanAveragePrecision(class_metrics=True)
    metric.update(
        [_tensors(objects, numbers, scores=True) for objects in predictions],
        [_tensors(objects, numbers, scores=False) for objects in references],
    )
    return dict(metric.compute())


def summary(predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
    """Return mean average precision over overlaps of 0.5 to 0.95, at 0.5, at 0.75, and mean recall; 0 to 1."""
    found = measure(predictions, references)
    # COCO says -1 where there is nothing to find.
    return {name: max(0.0, float(found[theirs])) for name, theirs in FIGURES.items()}


def per_label(predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, dict[str, float]]:
    """Return average precision and recall of each label that occurs, and how often it does."""
    counts: dict[str, int] = {}
    for each in (each for objects in references for each in objects if CROWD not in each):
        counts[each["label"]] = counts.get(each["label"], 0) + 1
    known = sorted({each["label"] for objects in predictions for each in objects} | set(counts))
    found = measure(predictions, references)
    columns = zip(
        found["classes"].reshape(-1).tolist(),
        found["map_per_class"].reshape(-1).tolist(),
        found["mar_100_per_class"].reshape(-1).tolist(),
        strict=True,
    )
    return {
        known[number]: {"map": precision, "recall": recall, "support": float(counts[known[number]])}
        for number, precision, recall in columns
        if known[number] in counts
    }


def _tensors(objects: Sequence[Mapping[str, Any]], numbers: Mapping[str, int], scores: bool) -> dict[str, Tensor]:
    boxes = [[each["box"][side] for side in SIDES] for each in objects]
    tensors = {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor([numbers[each["label"]] for each in objects], dtype=torch.int64),
    }
    if scores:
        tensors["scores"] = torch.tensor([each["score"] for each in objects], dtype=torch.float32)
    else:  # what is found in a crowd is neither right nor wrong
        tensors["iscrowd"] = torch.tensor([int(CROWD in each) for each in objects], dtype=torch.int64)
    return tensors
