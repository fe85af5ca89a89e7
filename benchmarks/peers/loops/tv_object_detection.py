"""Object detection as torchvision's reference scripts train it (``references/detection/train.py`` and ``engine.py``).

python benchmarks/peers/run_loop.py tv_object_detection benchmarks/peers/recipes/object_detection.yaml

Model, loss and loop are torchvision's: SGD with momentum, a warm-up over the first epoch, two drops of the rate, the
weights of the last epoch. Files are read and scores measured by Headstock's code, so that both sides mean the same.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import torchvision
from hf_common import limited_rows, peak_memory_mb, read_job
from reference import LIBRARIES, Job
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import v2
from transformers import set_seed

from headstock_vision.detection.objects import SIDES, Box, as_object
from headstock_vision.detection.precision import summary
from headstock_vision.formats.voc import read_voc

RATE = 0.02 / 16
"""Learning rate for each image of a batch, as the reference scales it."""
DROPS = (16 / 26, 22 / 26)
"""When the rate falls to a tenth, as shares of all epochs."""


class Boxes(Dataset[tuple[Tensor, dict[str, Tensor]]]):
    """Rows as images in 0…1 and targets in the form of torchvision's networks, squashed to a square."""

    def __init__(self, rows: list[dict[str, Any]], labels: list[str], size: int, flips: list[v2.Transform]) -> None:
        self.rows, self.labels = rows, labels
        self.change = v2.Compose([v2.Resize((size, size)), *flips, v2.ToDtype(torch.float32, scale=True)])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> tuple[Tensor, dict[str, Tensor]]:
        row = self.rows[number]
        image = tv_tensors.Image(decode_image(row["image"], ImageReadMode.RGB))
        height, width = image.shape[1:]
        edges = torch.tensor([[each["box"][side] for side in SIDES] for each in row["objects"]]).reshape(-1, 4)
        boxes = tv_tensors.BoundingBoxes(edges, format="XYXY", canvas_size=(height, width))
        image, boxes = self.change(image, boxes)
        labels = torch.tensor([self.labels.index(each["label"]) + 1 for each in row["objects"]], dtype=torch.int64)
        size = torch.tensor([width, height, width, height])
        return image.as_subclass(Tensor), {"boxes": boxes.as_subclass(Tensor), "labels": labels, "size": size}


def run(job: Job) -> dict[str, Any]:
    """Test, train, test again, and return the record of it."""
    started = time.perf_counter()
    found = read_voc(Path(job.data["path"]))
    if found is None:
        raise SystemExit(f"{job.data['path']} is not in VOC's layout")
    rows = {name: limited_rows([dict(row) for row in split], job.limit) for name, split in found.items()}
    labels = sorted({each["label"] for row in rows["train"] for each in row["objects"]})
    size, epochs, batch = job.backbone["image_size"], job.trainer["epochs"], job.trainer["batch_size"]
    flips: list[v2.Transform] = [v2.RandomHorizontalFlip(0.5)]
    if job.task.get("vertical_flip"):
        flips.append(v2.RandomVerticalFlip(0.5))
    train = DataLoader(Boxes(rows["train"], labels, size, flips), batch, shuffle=True, collate_fn=_apart)
    test = DataLoader(Boxes(rows["test"], labels, size, []), batch, collate_fn=_apart)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = torchvision.models.get_model(
        job.backbone["model"],
        weights=None,
        weights_backbone=None,
        num_classes=len(labels) + 1,
        min_size=size,
        max_size=size,
    ).to(device)
    before = evaluate(model, test, labels, rows["test"], size)
    seconds = fit(model, train, epochs, batch)
    after = evaluate(model, test, labels, rows["test"], size)
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "environment": {
            "device_type": device.type,
            "threads": torch.get_num_threads(),
            **{name: metadata.version(name) for name in LIBRARIES},
        },
        "examples": {name: len(split) for name, split in rows.items()},
        "steps": epochs * len(train),
        "before": before,
        "after": after,
        "examples_per_second": len(rows["train"]) * epochs / seconds,
        "training_seconds": seconds,
        "seconds": time.perf_counter() - started,
        "peak_memory_mb": peak_memory_mb(device),
    }


def fit(model: nn.Module, loader: DataLoader[Any], epochs: int, batch: int) -> float:
    """Train as ``train_one_epoch`` does, epoch after epoch, and return the seconds that it took."""
    device = next(model.parameters()).device
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=RATE * batch, momentum=0.9, weight_decay=1e-4)
    drops = [round(share * epochs) for share in DROPS]
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=drops, gamma=0.1)
    steps = min(1000, len(loader) - 1)
    warm_up = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1e-3, total_iters=steps)
    started = time.perf_counter()
    for epoch in range(epochs):
        model.train()
        for images, targets in loader:
            moved = [{name: value.to(device) for name, value in target.items()} for target in targets]
            loss = sum(model([image.to(device) for image in images], moved).values())
            if not math.isfinite(loss.item()):
                raise SystemExit(f"the loss is {loss.item()} in epoch {epoch}")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if epoch == 0:
                warm_up.step()
        schedule.step()
    return time.perf_counter() - started


@torch.inference_mode()
def evaluate(
    model: nn.Module, loader: DataLoader[Any], labels: list[str], rows: list[dict[str, Any]], size: int
) -> dict[str, float]:
    """Return average precision, boxes in the pixels of the files."""
    device = next(model.parameters()).device
    model.eval()
    predictions = []
    for images, targets in loader:
        for found, target in zip(model([image.to(device) for image in images]), targets, strict=True):
            boxes = found["boxes"].cpu() / size * target["size"]
            columns = zip(found["scores"].tolist(), found["labels"].tolist(), boxes.tolist(), strict=True)
            predictions.append(
                [{"score": score, **as_object(labels[label - 1], Box(*box))} for score, label, box in columns]
            )
    return summary(predictions, [row["objects"] for row in rows])


def _apart(pairs: list[tuple[Tensor, dict[str, Tensor]]]) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    """Keep images and targets of a batch as lists."""
    return [image for image, _ in pairs], [target for _, target in pairs]


def main() -> None:
    """Read the arguments, train, write the record."""
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe", type=Path, help="the recipe that Headstock runs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--limit", type=int, help="rows of each split at most, for a quick try")
    parser.add_argument("--out", type=Path, help="JSON file for the record; default: standard output")
    given = parser.parse_args()
    set_seed(given.seed)
    record = json.dumps(run(read_job(given.recipe, seed=given.seed, epochs=given.epochs, limit=given.limit)), indent=2)
    if given.out is None:
        print(record)
    else:
        given.out.write_text(record + "\n", "utf-8")
