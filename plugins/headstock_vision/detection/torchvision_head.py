"""What torchvision's detection networks have behind their feature maps, as a head."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from headstock_vision.detection.heads import DetectionHead, Limits, padded
from headstock_vision.detection.maps import Maps


class TorchvisionHead(DetectionHead):
    """A detection network of torchvision without its backbone.

    Its losses are means over a batch, over what is counted differently from network to network. Here each image is
    given alone and counts as one, so that losses add up whatever the cut.

    Args:
        network: The network; it is changed. Its label 0 stands for the background.
        maps: The feature maps in the sequence.
        names: What the network's backbone calls them.
        image_size: Height and width of the images.
        limits: Which objects count.
    """

    def __init__(self, network: nn.Module, maps: Maps, names: Sequence[str], image_size: int, limits: Limits) -> None:
        super().__init__()
        self.maps, self.names, self.image_size, self.limits = maps, tuple(names), image_size, limits
        self.network: Any = network
        self.network.backbone = _Given()
        self.network.transform = _Unchanged(image_size)
        deciding = getattr(self.network, "roi_heads", self.network)
        deciding.score_thresh, deciding.nms_thresh, deciding.detections_per_img = limits

    def forward(self, sequence: Tensor, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return losses and objects as :class:`DetectionHead` says."""
        planes = self.maps.split(sequence.float())
        outputs = {}
        if targets:
            with self._in_training():
                losses = [
                    self._loss([plane[row : row + 1] for plane in planes], targets, row) for row in range(len(sequence))
                ]
            outputs["losses"] = torch.stack(losses)
            outputs["counts"] = torch.ones_like(outputs["losses"])
        if not self.training:
            found = self._call(planes, None)
            outputs |= padded(
                [(each["scores"], each["labels"] - 1, each["boxes"] / self.image_size) for each in found],
                self.limits.most,
            )
        return outputs

    def _loss(self, planes: list[Tensor], targets: dict[str, Tensor], row: int) -> Tensor:
        real = targets["labels"][row] >= 0
        boxes, labels = targets["boxes"][row][real] * self.image_size, targets["labels"][row][real] + 1
        # so that a box that is thin as a line after squashing still has an inside
        boxes = torch.cat((boxes[:, :2], torch.maximum(boxes[:, 2:], boxes[:, :2] + 1e-2)), dim=1)
        losses = self._call(planes, [{"boxes": boxes, "labels": labels}])
        total: Tensor = torch.stack(list(losses.values())).sum()
        return total

    def _call(self, planes: list[Tensor], targets: list[dict[str, Tensor]] | None) -> Any:
        self.network.backbone.maps = OrderedDict(zip(self.names, planes, strict=True))
        size = self.image_size
        images = planes[0].new_zeros(1).expand(len(planes[0]), 3, size, size)  # only its shape is looked at
        # Anchors, proposals and their losses want float32.
        with torch.autocast(planes[0].device.type, enabled=False):
            return self.network(images, targets)

    @contextmanager
    def _in_training(self) -> Iterator[None]:
        """Let the network give losses, in evaluation too, where its parts stay as they are and the seed is fixed."""
        if self.training:
            yield
            return
        parts = [
            self.network,
            *(part for part in (getattr(self.network, name, None) for name in ("rpn", "roi_heads")) if part),
        ]
        with torch.random.fork_rng():
            torch.manual_seed(0)
            for part in parts:
                part.training = True
            try:
                yield
            finally:
                for part in parts:
                    part.training = False


class _Given(nn.Module):
    """Stands in for a backbone: gives maps that are there already."""

    maps: OrderedDict[str, Tensor]

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        del images
        return self.maps


class _Unchanged(nn.Module):
    """Stands in for the transform of images, which have their size already."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, images: Tensor, targets: Any) -> tuple[ImageList, Any]:
        return ImageList(images, [(self.size, self.size)] * len(images)), targets

    def postprocess(self, found: Any, sizes: Any, originals: Any) -> Any:
        del sizes, originals
        return found
