"""Knows YOLO's layout, to say that it is not read."""

from __future__ import annotations

from pathlib import Path

from headstock import DataError
from headstock_vision.formats.pictures import folders_in, visible

LABELS = "labels"
IMAGES = "images"


def refuse_yolo(path: Path) -> None:
    """Raise if a folder is in YOLO's layout: text files of normalised boxes in ``labels``, beside ``images``.

    Raises:
        DataError: it is; says what to do.
    """
    if not path.is_dir():
        return
    for root in (path, *folders_in(path)):
        if (root / LABELS).is_dir() and (root / IMAGES).is_dir() and _has_texts(root / LABELS):
            raise DataError(
                f"{path} is in YOLO's layout ({root / LABELS} has text files), which is not read; convert it to COCO "
                "(a JSON file for each split) or Pascal VOC (an XML file for each image)"
            )


def _has_texts(folder: Path) -> bool:
    return any(visible(each, ".txt") for each in (folder, *folders_in(folder)))
