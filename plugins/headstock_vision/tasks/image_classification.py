"""Task ``image-classification``: one label per image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import nn

from headstock import Backbone, Batch, Column, Metric, Row, Splits
from headstock.kits import Classification, ClassificationConfig
from headstock_vision.samples.digits import load_sample
from headstock_vision.tasks.augmentation import Strong, shift_and_flip
from headstock_vision.tasks.image_column import SUFFIXES, image_of


class ImageClassificationConfig(ClassificationConfig):
    """Options of ``image-classification``."""

    augmentation: Literal["auto", "none", "light", "strong"] = Field(
        "auto",
        description="random changes to training images: 'light' shifts by up to an eighth; 'strong' adds RandAugment "
        "and random erasing; 'auto': light, or none where the backbone is frozen and images are not mirrored, so that "
        "its features are computed once",
    )
    horizontal_flip: bool = Field(
        False,
        description="mirror half of the training images (unless augmentation is 'none'): right for photographs, wrong "
        "where left and right matter, as in digits, text and signs",
    )


class ImageClassification(Classification):
    """Assigns one label to an image."""

    Config = ImageClassificationConfig
    modality: ClassVar[str] = "image"
    columns: ClassVar[tuple[Column, ...]] = (
        Column(name="image", role="input", summary="an image file", content="file", suffixes=SUFFIXES),
        Column(name="label", role="target", summary="its label", stratify=True),
    )
    metrics: ClassVar[tuple[Metric, ...]] = (
        *Classification.metrics,
        Metric(name="top5_accuracy", better="higher", summary="fraction of images whose label is among the five best"),
    )
    default_backbone: ClassVar[str] = "efficientnet-lite0"
    fallback_backbones: ClassVar[tuple[str, ...]] = ("smallcnn",)
    pipeline_tag: ClassVar[str | None] = "image-classification"

    def __init__(self, config: ImageClassificationConfig) -> None:
        super().__init__(config)
        self._strong = Strong()
        self._frozen = False

    def sample(self) -> Splits:
        """Return scikit-learn's handwritten digits."""
        return load_sample()

    def inputs(self, row: Row) -> Mapping[str, Any]:
        """Return the image."""
        return {"image": image_of(row)}

    def build_head(self, backbone: Backbone) -> nn.Module:
        """Return the head of every classification; what is augmented depends on whether the backbone is frozen."""
        self._frozen = not any(parameter.requires_grad for parameter in backbone.parameters())
        return super().build_head(backbone)

    @property
    def _augmentation(self) -> str:
        if self.config.augmentation != "auto":
            return str(self.config.augmentation)
        return "none" if self._frozen and not self.config.horizontal_flip else "light"

    def augment(self, batch: Batch) -> Batch:
        """Change ``pixels``, uint8 (B, 3, H, W), each image by itself."""
        if self._augmentation == "none":
            return batch
        pixels = shift_and_flip(batch.inputs["pixels"], self.config.horizontal_flip)
        if self._augmentation == "strong":
            pixels = self._strong(pixels)
        return replace(batch, inputs={**batch.inputs, "pixels": pixels})

    @property
    def augments(self) -> bool:
        """Whether training images are changed at random."""
        return self._augmentation != "none"

    def score(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        """Return the figures of every classification, and top-5 accuracy (1 where there are at most five labels)."""
        pairs = zip(predictions, references, strict=True)
        hits = [any(scored["label"] == label for scored in prediction[:5]) for prediction, label in pairs]
        return {**super().score(predictions, references), "top5_accuracy": sum(hits) / max(len(hits), 1)}
