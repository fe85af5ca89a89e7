"""A head that looks for an object at every cell of the feature maps (FCOS, Tian et al. 2019)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import batched_nms, generalized_box_iou_loss

from headstock_vision.detection.heads import DetectionHead, Limits, padded
from headstock_vision.detection.maps import Maps

RADIUS = 1.5
"""How far from its middle, in cells, an object is looked for."""
REACH = 6
"""Cells that the longer side of an object covers on the map that fits it best, where there are several."""
PRIOR = 0.01
"""A new head's probability of an object at a cell; without, the many empty cells would swamp the start."""
CANDIDATES = 1000
"""Boxes of an image, the best first, among which doubles are looked for."""
START = 3.0
"""Cells along the edges of the boxes that a new head gives."""
BOX_WEIGHT = 2.0
"""Weight of the boxes' loss beside that of the labels (Li et al. 2020)."""


class DenseHead(DetectionHead):
    """Scores of labels and a box at every cell.

    The feature maps come down to ``dim`` channels; a single map is enlarged until it has ``cells`` along an edge.
    Boxes are middle and size, in cells from the cell's own middle, so that any cell can give any box.
    """

    points: Tensor
    strides: Tensor
    levels: Tensor
    cells: Tensor

    def __init__(
        self, feature_dim: int, labels: int, maps: Maps, limits: Limits, dim: int, layers: int, cells: int
    ) -> None:
        super().__init__()
        self.maps, self.limits = maps, limits
        single = len(maps.sides) == 1
        doublings = max(0, math.ceil(math.log2(cells / maps.sides[0]))) if single else 0
        self.reduce = nn.Sequential(nn.Conv2d(feature_dim, dim, 1), _norm(dim), nn.ReLU())
        self.enlarge = nn.Sequential(*(_Doubled(dim) for _ in range(doublings)))
        self.tower_labels = nn.Sequential(*(_layer(dim) for _ in range(layers)))
        self.tower_boxes = nn.Sequential(*(_layer(dim) for _ in range(layers)))
        self.labels = nn.Conv2d(dim, labels, 3, padding=1)
        self.boxes = nn.Conv2d(dim, 4, 3, padding=1)
        nn.init.normal_(self.labels.weight, std=0.01)
        nn.init.normal_(self.boxes.weight, std=0.01)
        self.labels.bias = nn.Parameter(torch.full((labels,), -math.log((1 - PRIOR) / PRIOR)))
        self.boxes.bias = nn.Parameter(torch.tensor([0.0, 0.0, math.log(START), math.log(START)]))
        sides = [side * 2**doublings for side in maps.sides]
        self._place(sides)

    def _place(self, sides: list[int]) -> None:
        """Set the middle (N, 2) of each cell, its size (N,) as shares of the image, and the number of its map (N,)."""
        points, strides, levels = [], [], []
        for level, side in enumerate(sides):
            middles = (torch.arange(side) + 0.5) / side
            rows, columns = torch.meshgrid(middles, middles, indexing="ij")
            points.append(torch.stack((columns, rows), dim=2).flatten(0, 1))
            strides.append(torch.full((side * side,), 1 / side))
            levels.append(torch.full((side * side,), level))
        self.register_buffer("points", torch.cat(points), persistent=False)
        self.register_buffer("strides", torch.cat(strides), persistent=False)
        self.register_buffer("levels", torch.cat(levels), persistent=False)
        self.register_buffer("cells", torch.tensor([1 / side for side in sides]), persistent=False)

    def forward(self, sequence: Tensor, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return losses and objects as :class:`DetectionHead` says."""
        logits, edges = self.everywhere(sequence)
        outputs = {}
        if targets:
            outputs["losses"], outputs["counts"] = self.losses(logits, edges, targets["labels"], targets["boxes"])
        if not self.training:
            found = [self.best(*each) for each in zip(logits.sigmoid(), edges.clamp(0, 1), strict=True)]
            outputs |= padded(found, self.limits.most)
        return outputs

    def best(self, scores: Tensor, edges: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return scores (M,), labels (M,) and boxes (M, 4) of what an image's cells found, best first, without doubles.

        Args:
            scores: (N, labels).
            edges: (N, 4).
        """
        cells, labels = (scores >= self.limits.score).nonzero(as_tuple=True)
        values, order = scores[cells, labels].sort(descending=True, stable=True)
        values, order = values[:CANDIDATES], order[:CANDIDATES]
        boxes, labels = edges[cells[order]], labels[order]
        kept = batched_nms(boxes, values, labels, self.limits.overlap)[: self.limits.most]
        return values[kept], labels[kept], boxes[kept]

    def everywhere(self, sequence: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, N, labels) and boxes (B, N, 4), edges as shares of the image, of features (B, T, D)."""
        logits, boxes = [], []
        for features in self.maps.split(sequence):
            plane = self.enlarge(self.reduce(features))
            logits.append(self.labels(self.tower_labels(plane)).flatten(2).transpose(1, 2))
            boxes.append(self.boxes(self.tower_boxes(plane)).flatten(2).transpose(1, 2))
        return torch.cat(logits, dim=1).float(), self._edges(torch.cat(boxes, dim=1).float())

    def _edges(self, raw: Tensor) -> Tensor:
        cell = self.strides[:, None]
        middle = self.points + raw[..., :2] * cell
        half = raw[..., 2:].clamp(max=8).exp() * cell / 2
        return torch.cat((middle - half, middle + half), dim=2)

    def match(self, boxes: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Say which object each cell has to find.

        An object is for the cells inside it that are near its middle, on the map for its size, and in any case for the
        nearest; where two want a cell, the smaller one has it.

        Args:
            boxes: Edges (B, M, 4) as shares of the image.
            present: Which of them are objects (B, M), the others being padding.

        Returns:
            The number of the object (B, N), and whether there is one (B, N).
        """
        size = (boxes[..., 2:] - boxes[..., :2]).clamp(min=1e-6)
        level = (size.amax(dim=2).unsqueeze(2) / (REACH * self.cells)).log2().abs().argmin(dim=2)
        middle = (boxes[..., :2] + boxes[..., 2:]) / 2
        offset = (self.points[:, None] - middle[:, None]) / self.strides[:, None, None]
        inside = (self.points[:, None] > boxes[:, None, :, :2]) & (self.points[:, None] < boxes[:, None, :, 2:])
        on_level = self.levels[:, None] == level[:, None]
        far = offset.square().sum(dim=3).masked_fill(~on_level, torch.inf)
        near = (offset.abs().amax(dim=3) <= RADIUS) & inside.all(dim=3) & on_level
        wanted = (near | (far == far.amin(dim=1, keepdim=True))) & present[:, None]
        area = size.prod(dim=2)[:, None].expand(wanted.shape).masked_fill(~wanted, torch.inf)
        least, index = area.min(dim=2)
        return index, least.isfinite()

    def losses(self, logits: Tensor, edges: Tensor, labels: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Return each image's loss (B,), quality focal of labels and generalised IoU of boxes, and its count (B,).

        The score that a cell is to give is the overlap of its box with the object (Li et al. 2020), so that the best of
        several boxes comes first. The count is that of cells with an object; an image without any counts as one cell.

        Args:
            logits: (B, N, labels).
            edges: (B, N, 4).
            labels: (B, M), -100 where there is no object.
            boxes: (B, M, 4).
        """
        index, found = self.match(boxes, labels >= 0)
        aim = boxes.gather(1, index.unsqueeze(2).expand(-1, -1, 4))
        aim = torch.where(found.unsqueeze(2), aim, edges.detach())
        quality = torch.where(found, overlap(edges.detach(), aim), 0.0)
        label = labels.gather(1, index).clamp(min=0)
        target = torch.zeros_like(logits).scatter_(2, label.unsqueeze(2), quality.unsqueeze(2))
        missed = (logits.sigmoid() - target).square()
        of_labels = missed * F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        of_boxes = generalized_box_iou_loss(edges, aim, reduction="none") * found
        losses = of_labels.sum(dim=(1, 2)) + BOX_WEIGHT * of_boxes.sum(dim=1)
        return losses, found.sum(dim=1).clamp(min=1).float()


class _Doubled(nn.Module):
    """Doubles height and width of a map."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layer = _layer(dim)

    def forward(self, plane: Tensor) -> Tensor:
        """Return (B, D, 2H, 2W) of (B, D, H, W)."""
        larger: Tensor = self.layer(F.interpolate(plane, scale_factor=2.0, mode="bilinear", align_corners=False))
        return larger


def _layer(dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(dim, dim, 3, padding=1, bias=False), _norm(dim), nn.ReLU())


def _norm(dim: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(16, dim), dim)


def overlap(first: Tensor, second: Tensor) -> Tensor:
    """Return the intersection over union (…,) of boxes (…, 4), pair by pair."""
    sides = (torch.minimum(first[..., 2:], second[..., 2:]) - torch.maximum(first[..., :2], second[..., :2])).clamp(
        min=0
    )
    shared = sides.prod(dim=-1)
    areas = [(each[..., 2:] - each[..., :2]).prod(dim=-1) for each in (first, second)]
    return shared / (areas[0] + areas[1] - shared).clamp(min=1e-9)
