"""The sample of ``object-detection``: discs, squares and triangles drawn on noise."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from headstock import Splits

SIZES = {"train": 240, "validation": 40, "test": 40}
SIDE = 64
"""Height and width of an image."""
LABELS = ("disc", "square", "triangle")


def shape_splits() -> Splits:
    """Return images with one to four shapes that do not overlap, the same ones every time."""
    # RandomState promises the same numbers in every version of numpy
    rng = np.random.RandomState(0)
    return {split: [_row(rng) for _ in range(size)] for split, size in SIZES.items()}


def _row(rng: np.random.RandomState) -> dict[str, Any]:
    noise = rng.randint(0, 80, (SIDE, SIDE, 3)).astype(np.uint8)
    image = Image.fromarray(noise)
    pen = ImageDraw.Draw(image)
    objects: list[dict[str, Any]] = []
    for _ in range(rng.randint(1, 5)):
        size = int(rng.randint(20, 33))
        left, top = (int(edge) for edge in rng.randint(0, SIDE - size, 2))
        box = {"xmin": left, "ymin": top, "xmax": left + size, "ymax": top + size}
        colour = tuple(int(part) for part in rng.randint(120, 256, 3))
        label = LABELS[rng.randint(len(LABELS))]
        if any(_meet(box, other["box"]) for other in objects):
            continue
        _draw(pen, label, box, colour)
        objects.append({"label": label, "box": box})
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return {"image": stream.getvalue(), "objects": objects}


def _draw(pen: ImageDraw.ImageDraw, label: str, box: dict[str, int], colour: tuple[int, ...]) -> None:
    left, top, right, bottom = box["xmin"], box["ymin"], box["xmax"] - 1, box["ymax"] - 1
    if label == "disc":
        pen.ellipse((left, top, right, bottom), fill=colour)
    elif label == "square":
        pen.rectangle((left, top, right, bottom), fill=colour)
    else:
        pen.polygon([(left, bottom), (right, bottom), ((left + right) / 2, top)], fill=colour)


def _meet(one: dict[str, int], other: dict[str, int]) -> bool:
    return (
        one["xmin"] < other["xmax"]
        and other["xmin"] < one["xmax"]
        and one["ymin"] < other["ymax"]
        and other["ymin"] < one["ymax"]
    )
