"""Task ``object-detection``: labels and boxes of the objects in an image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from headstock import (
    Backbone,
    BadExampleError,
    Batch,
    Column,
    Config,
    Details,
    Example,
    Features,
    HeadstockError,
    Loss,
    Metric,
    Request,
    Row,
    Splits,
    Task,
    TrainingFacts,
    note,
    pad_stack,
)
from headstock.kits import LabelSet
from headstock_vision.detection.dense import DenseHead
from headstock_vision.detection.frames import Box
from headstock_vision.detection.heads import NOTHING, Detector, Limits
from headstock_vision.detection.maps import maps_of
from headstock_vision.detection.objects import CROWD, SIDES, BoxFormat, as_object, box_of
from headstock_vision.detection.precision import per_label, summary
from headstock_vision.detection.references import read_reference
from headstock_vision.formats.coco import read_coco
from headstock_vision.formats.rows import MISSING
from headstock_vision.formats.voc import read_voc
from headstock_vision.formats.yolo import refuse_yolo
from headstock_vision.samples.shapes import shape_splits
from headstock_vision.tasks.image_column import SUFFIXES, image_of

PADDING = -100


class ObjectDetectionConfig(Config):
    """Options of ``object-detection``."""

    box_format: BoxFormat = Field(
        "xywh",
        description="what four numbers of a box mean: xywh (left, top, width, height, as in COCO) or xyxy (the edges); "
        "boxes with named edges need no telling",
    )
    dim: int = Field(128, ge=8, le=4096, description="channels of the head; a detection network has its own head")
    layers: int = Field(2, ge=0, le=64, description="layers of the head, for labels and for boxes each")
    cells: int = Field(
        16,
        ge=1,
        le=256,
        description="cells along an edge that a backbone's single feature map is enlarged to have, at least",
    )
    horizontal_flip: bool = Field(True, description="mirror half of the training images left to right")
    vertical_flip: bool = Field(
        False, description="turn half of the training images upside down: right for views from above"
    )
    nms_overlap: float = Field(
        0.6, gt=0, le=1, description="overlap (IoU) above which the weaker of two boxes with one label is left out"
    )
    score_threshold: float = Field(0.05, ge=0, lt=1, description="objects with a lower score are not scored at all")
    predict_threshold: float = Field(0.3, ge=0, lt=1, description="objects with a lower score are not given to users")
    max_objects: int = Field(100, ge=1, le=10_000, description="objects of an image at most, the best first")


class ObjectDetection(Task):
    """Finds objects, on any image backbone with a feature map.

    Images are taken whole, squashed to the backbone's square. A detection network brings its own head; other backbones
    get a :class:`headstock_vision.detection.dense.DenseHead`.

    Attributes:
        labels: The label set.
    """

    Config = ObjectDetectionConfig
    config: ObjectDetectionConfig
    modality: ClassVar[str] = "image"
    labels_are: ClassVar[str] = "objects"
    pipeline_tag: ClassVar[str | None] = "object-detection"
    default_backbone: ClassVar[str] = "smallcnn"
    columns: ClassVar[tuple[Column, ...]] = (
        Column(name="image", role="input", summary="an image file", content="file", suffixes=SUFFIXES),
        Column(name="objects", role="target", summary="its objects: a list of labels with boxes in pixels"),
        Column(name="width", role="target", summary="width of the image that has these boxes", required=False),
        Column(name="height", role="target", summary="height of the image that has these boxes", required=False),
    )
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(name="map", better="higher", summary="mean average precision over overlaps of 0.5 to 0.95 (COCO's mAP)"),
        Metric(name="map_50", better="higher", summary="mean average precision at an overlap of 0.5"),
        Metric(name="map_75", better="higher", summary="mean average precision at an overlap of 0.75"),
        Metric(name="recall", better="higher", summary="mean recall over overlaps of 0.5 to 0.95, 100 boxes an image"),
    )

    def __init__(self, config: ObjectDetectionConfig) -> None:
        super().__init__(config)
        self.labels = LabelSet(())

    @classmethod
    def trainer_defaults(cls, config: ObjectDetectionConfig, facts: TrainingFacts) -> Mapping[str, Any]:
        """Return what suits a head that is new."""
        del config, facts
        return {"epochs": 30, "learning_rate": 1e-3, "patience": 10, "batch_size": 8, "warmup_ratio": 0.1}

    # Data

    def sample(self) -> Splits:
        """Return drawn shapes on noise."""
        return shape_splits()

    def read(self, request: Request) -> Splits | None:
        """Return the rows of Pascal VOC (a folder with XML files) or COCO (JSON) data."""
        found = read_voc(request.path) or read_coco(request.path)
        if found is None and request.with_targets:
            refuse_yolo(request.path)
        for column in request.columns if found is not None else ():
            note(f"data.columns.{column} left out, for Pascal VOC and COCO name what they hold themselves")
        return found

    def inputs(self, row: Row) -> Mapping[str, Any]:
        """Return the image, none of which may be cut off."""
        if MISSING in row:
            raise BadExampleError(row[MISSING])
        return {"image": image_of(row), "whole": True}

    def reference(self, row: Row) -> list[dict[str, Any]]:
        """Return the objects, each ``{"label": …, "box": {"xmin": …, …}}``, in the frame in which viewers show images.

        Boxes are cut at the edge of their image. A crowd has ``"crowd": true``.

        Raises:
            BadPartsError: a box cannot be used.
        """
        return read_reference(row, image_of(row), self.config.box_format)

    def learn(self, references: Sequence[list[dict[str, Any]]]) -> None:
        """Learn the label set."""
        self.labels = LabelSet.learn(
            (each["label"] for objects in references for each in objects if CROWD not in each), least=1
        )

    def canonical(self, reference: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the objects with labels in the spelling that was learnt."""
        return [{**each, "label": self.labels.canonical(each["label"])} for each in reference]

    def label_counts(self, references: Sequence[list[dict[str, Any]]]) -> dict[str, int]:
        """Return the number of objects of each label, without crowds."""
        real = (each for objects in references for each in objects if CROWD not in each)
        counts = Counter(self.labels.canonical(each["label"]) for each in real)
        return {name: counts[name] for name in sorted(counts)}

    def state(self) -> dict[str, Any]:
        """Return the labels."""
        return {"labels": list(self.labels.names)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back the labels."""
        self.labels = LabelSet(state["labels"])

    def encode(self, reference: list[dict[str, Any]], example: Example) -> dict[str, Tensor]:
        """Return ``boxes`` (M, 4), edges as shares of the image, and ``labels`` (M,).

        Raises:
            BadExampleError: a box lies outside the image.
            HeadstockError: the backbone does not keep the image's size.
        """
        if "size" not in example:
            raise HeadstockError("this backbone does not say how large the image was, which object-detection must know")
        height, width = example["size"].tolist()
        boxes = []
        real = [each for each in reference if CROWD not in each]
        for number, each in enumerate(real, 1):
            box = box_of(each)
            left, right = (min(max(edge / width, 0.0), 1.0) for edge in (box.xmin, box.xmax))
            top, bottom = (min(max(edge / height, 0.0), 1.0) for edge in (box.ymin, box.ymax))
            if left >= right or top >= bottom:
                raise BadExampleError(
                    f"object {number} ('{each['label']}') lies outside the image of {width}x{height} pixels"
                )
            boxes.append((left, top, right, bottom))
        labels = [self.labels.index(each["label"]) for each in real]
        return {"boxes": torch.tensor(boxes).reshape(-1, 4), "labels": torch.tensor(labels, dtype=torch.int64)}

    def collate(self, targets: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Pad to the most objects of an image, one at least."""
        none = {"boxes": torch.full((1, 4), float(PADDING)), "labels": torch.full((1,), PADDING)}
        return {
            name: pad_stack([target[name] if len(target[name]) else filler for target in targets], PADDING)
            for name, filler in none.items()
        }

    def augment(self, batch: Batch) -> Batch:
        """Mirror some images, and their boxes with them."""
        pixels, boxes = batch.inputs["pixels"], batch.targets["boxes"]
        real = (batch.targets["labels"] >= 0).unsqueeze(2)
        for wanted, axis, order in (
            (self.config.horizontal_flip, 3, [2, 1, 0, 3]),
            (self.config.vertical_flip, 2, [0, 3, 2, 1]),
        ):
            if not wanted:
                continue
            turned = torch.rand(len(pixels), device=pixels.device) < 0.5
            pixels = torch.where(turned[:, None, None, None], pixels.flip(axis), pixels)
            edges = boxes[..., order]
            swapped = [edge for edge in range(4) if order[edge] != edge]
            edges[..., swapped] = 1 - edges[..., swapped]
            boxes = torch.where(turned[:, None, None] & real, edges, boxes)
        return replace(batch, inputs={**batch.inputs, "pixels": pixels}, targets={**batch.targets, "boxes": boxes})

    @property
    def augments(self) -> bool:
        """Whether training images are mirrored at random."""
        return bool(self.config.horizontal_flip or self.config.vertical_flip)

    # Model

    def build_head(self, backbone: Backbone) -> nn.Module:
        """Return the backbone's own head if it has one, else a new one over its feature maps."""
        config, labels = self.config, len(self.labels)
        limits = Limits(config.score_threshold, config.nms_overlap, config.max_objects)
        if isinstance(backbone, Detector):
            return backbone.detection_head(labels, limits)
        maps = maps_of(backbone)
        return DenseHead(backbone.feature_dim, labels, maps, limits, config.dim, config.layers, config.cells)

    def forward(self, head: nn.Module, features: Features, batch: Batch) -> dict[str, Tensor]:
        """Return what a :class:`headstock_vision.detection.heads.DetectionHead` gives."""
        outputs: dict[str, Tensor] = head(features.sequence, batch.targets)
        return outputs

    def loss(self, outputs: dict[str, Tensor], batch: Batch) -> Loss:
        """Return the sum of the images' losses and of their counts."""
        del batch
        return Loss(outputs["losses"].sum(), outputs["counts"].sum())

    # Predictions

    def decode(self, outputs: dict[str, Tensor], batch: Batch) -> list[list[dict[str, Any]]]:
        """Return each image's objects with scores, the best first, edges in pixels of the image as viewers show it."""
        edges = batch.inputs["size"].flip(1).repeat(1, 2)[:, None] * outputs["boxes"].clamp(0, 1)
        columns = zip(outputs["scores"].tolist(), outputs["labels"].tolist(), edges.tolist(), strict=True)
        return [
            [
                {
                    "score": round(score, 4),
                    **as_object(self.labels.names[label], Box(*(round(edge, 2) for edge in box))),
                }
                for score, label, box in zip(*image, strict=True)
                if label != NOTHING
            ]
            for image in columns
        ]

    def baseline(self, references: Sequence[Any], inputs: Iterable[Mapping[str, Any]]) -> list[list[dict[str, Any]]]:
        """Return no object for every image."""
        del references
        return [[] for _ in inputs]

    def score(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        """Return mean average precision and recall as COCO measures them."""
        return summary(predictions, references)

    def details(self, predictions: Sequence[Any], references: Sequence[Any]) -> Details:
        """Return average precision and recall of each label."""
        return Details(per_class=per_label(predictions, references))

    def to_pipeline(self, prediction: list[dict[str, Any]], row: Row) -> list[dict[str, Any]]:
        """Return the objects with a score that is worth showing, edges in whole pixels."""
        del row
        return [
            {**each, "box": {side: round(each["box"][side]) for side in SIDES}}
            for each in prediction
            if each["score"] >= self.config.predict_threshold
        ]
