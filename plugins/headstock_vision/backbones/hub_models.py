"""Models that are usual for images: the smallest first."""

from __future__ import annotations

from collections.abc import Mapping

Models = Mapping[str, tuple[str, ...]]

ENCODERS: Models = {
    "transformers": ("facebook/dinov2-small", "google/vit-base-patch16-224"),
    "convolutions": ("microsoft/resnet-18", "microsoft/resnet-50"),
}
DETECTORS: Models = {"80 kinds of objects": ("hustvl/yolos-tiny", "facebook/detr-resnet-50")}
TORCHVISION: Models = {
    "convolutions": ("mobilenet_v3_small", "resnet18", "resnet50"),
    "transformers": ("swin_t", "vit_b_16"),
}
