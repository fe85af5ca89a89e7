"""Image classification with the Trainer, after ``run_image_classification.py`` of transformers.

python benchmarks/peers/run_loop.py hf_image_classification benchmarks/peers/recipes/image_classification.yaml

The network's definition is Headstock's, for torchvision has no EfficientNet-Lite0: both sides train the same network.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from datasets import load_dataset
from hf_common import limited, run_script
from reference import Job, Reference
from safetensors.torch import load_file
from sklearn.metrics import accuracy_score, f1_score
from torch import Tensor, nn
from torchvision.transforms import (
    CenterCrop,
    Compose,
    InterpolationMode,
    Normalize,
    RandomCrop,
    RandomHorizontalFlip,
    Resize,
    ToTensor,
)
from transformers.trainer_utils import EvalPrediction

from headstock_vision.backbones.networks.efficientnet_lite import FACTS, efficientnet_lite0

SHIFT = 8
"""Training images are shifted by up to their size divided by this, as Headstock's light augmentation does."""


class ImageClassifier(nn.Module):
    """A network of torchvision with a new classifier, called as models of transformers are."""

    def __init__(self, network: nn.Module, labels: int, dropout: float) -> None:
        super().__init__()
        width = network.classifier[-1].in_features
        network.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, labels))
        self.network = network

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """Return ``logits`` (B, labels) and, with labels (B,), their mean cross-entropy."""
        logits = self.network(pixel_values)
        if labels is None:
            return {"logits": logits}
        return {"loss": F.cross_entropy(logits.float(), labels), "logits": logits}


def prepare(job: Job) -> Reference:
    """Load data and model; images are decoded and changed whenever they are read."""
    folder = Path(job.data["path"])
    files = {"train": "train/**", "validation": "valid/**", "test": "test/**"}
    splits = load_dataset("imagefolder", data_files={name: str(folder / file) for name, file in files.items()})
    splits = {name: limited(split, job.limit) for name, split in splits.items()}
    size = job.backbone["image_size"]
    resize = [Resize(size, interpolation=InterpolationMode(FACTS.interpolation)), CenterCrop(size)]
    move = [RandomCrop(size, padding=size // SHIFT, padding_mode="reflect"), RandomHorizontalFlip()]
    finish = [ToTensor(), Normalize(FACTS.mean, FACTS.std)]
    changes = {"train": [*resize, *move, *finish], "validation": [*resize, *finish], "test": [*resize, *finish]}
    for name, split in splits.items():
        split.set_transform(Transform(Compose(changes[name])))
    labels = splits["train"].features["label"].names
    return Reference(
        model=ImageClassifier(pretrained(job.backbone["weights"]), len(labels), job.task["dropout"]),
        splits=splits,
        collator=collate_channels_last if job.variant != "defaults" else collate,
        score=score,
        metric="accuracy",
        better="higher",
        options={"remove_unused_columns": False},
    )


class Transform:
    """Turns the images of a batch of rows into tensors."""

    def __init__(self, change: Compose) -> None:
        self._change = change

    def __call__(self, rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Return ``pixel_values`` and ``label``."""
        pixels = [self._change(image.convert("RGB")) for image in rows["image"]]
        return {"pixel_values": pixels, "label": rows["label"]}


def pretrained(weights: str) -> nn.Module:
    """Return EfficientNet-Lite0 with the weights of a safetensors file, float32."""
    network = efficientnet_lite0()
    network.load_state_dict({name: value.float() for name, value in load_file(weights).items()}, strict=True)
    return network


def collate(rows: list[dict[str, Any]]) -> dict[str, Tensor]:
    """Stack rows."""
    return {
        "pixel_values": torch.stack([row["pixel_values"] for row in rows]),
        "labels": torch.tensor([row["label"] for row in rows]),
    }


def collate_channels_last(rows: list[dict[str, Any]]) -> dict[str, Tensor]:
    """Stack rows, channels last: what PyTorch's tuning guide advises for convolutions; the Trainer has no flag for it.

    Only the images are laid out so, for the Trainer cannot save weights that are.
    """
    batch = collate(rows)
    return {**batch, "pixel_values": batch["pixel_values"].contiguous(memory_format=torch.channels_last)}


def score(evaluation: EvalPrediction) -> dict[str, float]:
    """Return accuracy and the mean over labels of F1."""
    chosen = np.argmax(evaluation.predictions, axis=1)
    truth = evaluation.label_ids
    return {
        "accuracy": float(accuracy_score(truth, chosen)),
        "f1": float(f1_score(truth, chosen, average="macro", zero_division=0)),
    }


def main() -> None:
    """Read the arguments, train, write the record."""
    run_script(prepare)
