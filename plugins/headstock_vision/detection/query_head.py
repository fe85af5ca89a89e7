"""A head over object queries, each of which finds one object or none (DETR, Carion et al. 2020)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import box_convert
from transformers.loss import loss_for_object_detection

from headstock_vision.detection.heads import DetectionHead, Limits, padded


class QueryHead(DetectionHead):
    """Labels and a box of every query; queries and objects are matched one to one, so that doubles need no care.

    The loss is that of transformers, each image taken alone and counted as one: over a batch it is a mean, of labels
    over queries and of boxes over objects, which would not add up.

    Args:
        labels: Module from queries (B, Q, D) to logits (B, Q, labels + 1), the last one for no object.
        boxes: Module from queries to boxes (B, Q, 4) before the sigmoid: middle, width and height.
        config: The model's configuration, with the weights of the parts of the loss.
        limits: Which objects count.
    """

    def __init__(self, labels: nn.Module, boxes: nn.Module, config: Any, limits: Limits) -> None:
        super().__init__()
        self.labels, self.boxes, self.config, self.limits = labels, boxes, config, limits

    def forward(self, sequence: Tensor, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return losses and objects as :class:`DetectionHead` says."""
        logits, boxes = self.labels(sequence).float(), self.boxes(sequence).float().sigmoid()
        outputs = {}
        if targets:
            outputs["losses"] = torch.stack([self._loss(logits, boxes, targets, row) for row in range(len(logits))])
            outputs["counts"] = torch.ones_like(outputs["losses"])
        if not self.training:
            edges = box_convert(boxes, "cxcywh", "xyxy")
            found = [self._best(*each) for each in zip(logits.softmax(dim=2)[..., :-1], edges, strict=True)]
            outputs |= padded(found, self.limits.most)
        return outputs

    def _loss(self, logits: Tensor, boxes: Tensor, targets: dict[str, Tensor], row: int) -> Tensor:
        real = targets["labels"][row] >= 0
        aims = box_convert(targets["boxes"][row][real], "xyxy", "cxcywh")
        measure: Any = loss_for_object_detection.ForObjectDetectionLoss  # without types
        with torch.autocast(logits.device.type, enabled=False):
            loss: Tensor = measure(
                logits[row : row + 1],
                [{"class_labels": targets["labels"][row][real], "boxes": aims}],
                logits.device,
                boxes[row : row + 1],
                self.config,
            )[0]
        return loss

    def _best(self, scores: Tensor, edges: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return scores (M,), labels (M,) and boxes (M, 4) of one image's queries, best first."""
        values, labels = scores.max(dim=1)
        order = values.argsort(descending=True, stable=True)
        kept = order[values[order] >= self.limits.score][: self.limits.most]
        return values[kept], labels[kept], edges[kept]
