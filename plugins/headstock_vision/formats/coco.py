"""Reads COCO: one JSON file for all images of a split that names their objects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from headstock import DataError, Splits
from headstock.kits import SPLIT_NAMES
from headstock_vision.detection.objects import Box, as_object

INSIDE = "_annotations.coco.json"
"""The file in a split's own folder of images, as annotation services export it."""


class _Lenient(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Image(_Lenient):
    id: int | str
    file_name: str


class _Category(_Lenient):
    id: int
    name: str


class _Annotation(_Lenient):
    image_id: int | str
    category_id: int
    bbox: tuple[float, float, float, float]
    iscrowd: int = 0


class _File(_Lenient):
    images: list[_Image]
    categories: list[_Category]
    annotations: list[_Annotation]


def read_coco(path: Path) -> Splits | None:
    """Return the rows of a COCO file, or of a folder with one for each split, or ``None`` if there is none.

    A folder has ``annotations/instances_train2017.json`` and the like, with the images in ``train2017``, ``images`` or
    beside; or ``train.json``; or ``train/_annotations.coco.json`` among the images. Crowds (``iscrowd``) are left out.

    Raises:
        DataError: the file is damaged, or an image is missing; names it.
    """
    if path.is_file():
        return {"train": _rows(path)} if path.suffix == ".json" and _is_coco(path) else None
    if not path.is_dir():
        return None
    if (path / INSIDE).is_file():
        return {"train": _rows(path / INSIDE)}
    files = {split: _file_of(path, aliases) for split, aliases in SPLIT_NAMES.items()}
    return {split: _rows(file) for split, file in files.items() if file is not None} if files["train"] else None


def _file_of(path: Path, aliases: tuple[str, ...]) -> Path | None:
    """Return the file of a split."""
    inside = [path / alias / INSIDE for alias in aliases]
    named = [
        file
        for file in (*sorted(path.glob("annotations/*.json")), *sorted(path.glob("*.json")))
        if any(_words(file.stem)[-1:] == [alias] for alias in aliases)
    ]
    # Beside its instances COCO has captions and key points of the same images.
    named.sort(key=lambda file: not file.stem.startswith("instances"))
    return next((file for file in (*inside, *named) if file.is_file() and _is_coco(file)), None)


def _words(stem: str) -> list[str]:
    """Return the parts of a file's name, without a year: ``instances_train2017`` ends in ``train``."""
    return [word.rstrip("0123456789") for word in stem.casefold().replace("-", "_").split("_")]


def _is_coco(file: Path) -> bool:
    content = _json(file)
    return isinstance(content, dict) and {"images", "annotations"} <= set(content)


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        return None  # whatever it is, the common formats have their own word on it


def _rows(file: Path) -> list[dict[str, Any]]:
    try:
        content = _File.model_validate(_json(file))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(f"{file} is not in COCO's format: {place}: {first['msg'].lower()}") from error
    names = {category.id: category.name for category in content.categories}
    rows = {image.id: {"image": str(_image(file, image.file_name)), "objects": []} for image in content.images}
    for number, each in enumerate(content.annotations):
        if each.image_id not in rows or each.category_id not in names:
            what = f"image {each.image_id}" if each.image_id not in rows else f"category {each.category_id}"
            raise DataError(f"{file}: annotation {number} is about {what}, which the file has not")
        left, top, width, height = each.bbox
        if not each.iscrowd:
            objects: Any = rows[each.image_id]["objects"]
            objects.append(as_object(names[each.category_id], Box(left, top, left + width, top + height)))
    return list(rows.values())


def _image(file: Path, name: str) -> Path:
    parent = file.parent.parent if file.parent.name == "annotations" else file.parent
    folders = [file.parent, parent, parent / "images", parent / file.stem.split("_")[-1]]
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise DataError(f"{file} names '{name}', which is in none of {', '.join(dict.fromkeys(map(str, folders)))}")
