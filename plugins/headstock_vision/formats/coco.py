"""Reads COCO: one JSON file for all images of a split that names their objects."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from headstock import BadExampleError, DataError, HeadstockError, Splits, note, noting, parse_json, read_bytes, shown
from headstock.kits import split_in
from headstock_vision.detection.frames import Box, Size
from headstock_vision.detection.objects import PLACE, PROBLEM, as_object, is_number
from headstock_vision.detection.references import declared_size
from headstock_vision.formats.pictures import Pictures, folders_in, visible
from headstock_vision.formats.rows import Annotated, PictureRows, picture_rows

INSIDE = "_annotations.coco.json"
"""The file in a split's own folder of images, as annotation services export it."""
FOLDERS = ("annotations", "Annotations")
"""Where the files of a data set lie, if not beside its folders of images."""
DRAWN = "boxes made from the outline of a segmentation, which had no box"


def read_coco(path: Path) -> Splits | None:
    """Return the rows of a COCO file, or of a folder with one for each split, or ``None`` if there is none.

    A folder has ``annotations/instances_train2017.json`` and the like, with the images in ``train2017``, ``images`` or
    beside; or ``train.json``; or ``train/_annotations.coco.json`` among the images; or one COCO file of any name.
    Crowds (``iscrowd``) are no training targets, and finding them is neither right nor wrong.

    Raises:
        DataError: the file is damaged or contradicts itself, or all its images are missing; names it.
    """
    if path.is_file():
        if path.suffix.casefold() != ".json":
            return None
        coco = _instances([path]).coco  # what cannot be read is for the common formats to say
        return None if coco is None else {"train": _rows(coco.file, coco.content)}
    if not path.is_dir():
        return None
    if (path / INSIDE).is_file():
        return {"train": _rows(path / INSIDE, _required(path / INSIDE))}
    named, others = _files(path)
    splits = {split: _instances(files) for split, files in named.items()}
    found = {split: each.coco for split, each in splits.items() if each.coco is not None}
    if found:
        problem = next((each.problem for each in splits.values() if each.coco is None and each.problem), None)
        if problem is not None:
            raise problem
    if "train" in found:
        return {split: _rows(coco.file, coco.content) for split, coco in found.items()}
    unnamed = [each.coco for each in (_instances([file]) for file in others) if each.coco is not None]
    if len(unnamed) > 1:
        names = ", ".join(str(coco.file) for coco in unnamed)
        raise DataError(
            f"{path} has several COCO files: {names}; say which with data.train, data.validation, data.test"
        )
    return {"train": _rows(unnamed[0].file, unnamed[0].content)} if unnamed else None


class Coco(NamedTuple):
    """A COCO file and what it holds."""

    file: Path
    content: Mapping[str, Any]


class Instances(NamedTuple):
    """The file with boxes among the files of a split, or why one of them cannot be read, or neither."""

    coco: Coco | None
    problem: DataError | None


def _files(path: Path) -> tuple[dict[str, list[Path]], list[Path]]:
    """Return by split the JSON files whose names say which split they are, and those whose names do not."""
    named: dict[str, list[Path]] = {}
    others: list[Path] = []
    for folder in (each for each in folders_in(path) if (each / INSIDE).is_file()):
        if (split := split_in(folder.name)) is not None:
            named.setdefault(split, []).append(folder / INSIDE)
    for file in (file for folder in (*(path / name for name in FOLDERS), path) for file in _json_files(folder)):
        split = split_in(file.stem)
        if split is None:
            others.append(file)
        elif split not in named or named[split][0].name != INSIDE:
            named.setdefault(split, []).append(file)
    return named, others


def _json_files(folder: Path) -> list[Path]:
    return visible(folder, ".json") if folder.is_dir() else []


def _instances(files: Sequence[Path]) -> Instances:
    """Return the file with boxes: beside its instances COCO has captions and key points of the same images."""
    problem: DataError | None = None
    for file in sorted(files, key=lambda file: not file.stem.startswith("instances")):
        if file.name == INSIDE:
            return Instances(Coco(file, _required(file)), None)
        try:
            content = _parsed(file)
        except DataError as error:
            problem = problem or error
            continue
        if _is_coco(content):
            return Instances(Coco(file, content), None)
    return Instances(None, problem)


def _is_coco(content: Any) -> bool:
    return isinstance(content, Mapping) and {"images", "annotations"} <= set(content)


def _parsed(file: Path) -> Any:
    try:
        content = read_bytes(file)
        text = content.decode(json.detect_encoding(content))  # a byte-order mark and UTF-16 are understood
    except (BadExampleError, ValueError) as error:
        raise DataError(f"{file} is not readable JSON: {error}") from error
    try:
        return parse_json(text, str(file), finite=False)
    except HeadstockError as error:
        raise DataError(str(error)) from error


def _required(file: Path) -> Mapping[str, Any]:
    content = _parsed(file)
    if not _is_coco(content):
        raise DataError(f"{file} is not in COCO's format: it must be an object with images and annotations")
    found: Mapping[str, Any] = content
    return found


def _rows(file: Path, content: Mapping[str, Any]) -> PictureRows:
    with noting() as notes:
        pictures, images = _pictures(file, content)
    return picture_rows(file, images, pictures.folders, notes)


def _pictures(file: Path, content: Mapping[str, Any]) -> tuple[Pictures, list[Annotated]]:
    names = _categories(file, content)
    pictures = Pictures(_folders(file))
    images: dict[str, Annotated] = {}
    for index, each in enumerate(_list(file, content, "images")):
        key, name = _id(each.get("id")), each.get("file_name")
        if key is None:
            raise DataError(f"{file} is not in COCO's format: images.{index} has no id: a number or a text")
        if not isinstance(name, str) or not name.strip():
            raise DataError(f"{file} is not in COCO's format: images.{index} (id {key}) has no file_name")
        if key in images:
            raise DataError(f"{file}: images '{images[key].name}' and '{name}' have the same id {key}")
        size = {side: each[side] for side in ("width", "height") if side in each}
        images[key] = Annotated(f"{file} image {key} ('{name}')", name, pictures.named(name), [], size)
    boxes = _add_objects(file, content, images, names)
    _require_pixels(file, boxes)
    return pictures, list(images.values())


def _folders(file: Path) -> list[Path]:
    """Return where the images of a file may lie."""
    root = file.parent.parent if file.parent.name in FOLDERS else file.parent
    last = file.stem.replace("-", "_").split("_")[-1]
    inside = [last, *([split] if (split := split_in(file.stem)) else [])]
    roots = [file.parent, root, root / "images"]
    return [*roots, *(parent / name for parent in (root, root / "images") for name in inside)]


def _list(file: Path, content: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    values = content.get(key)
    if not isinstance(values, list) or not all(isinstance(each, Mapping) for each in values):
        raise DataError(f"{file} is not in COCO's format: {key} must be a list of objects")
    return values


def _id(value: Any) -> str | None:
    """Return an id as a text, so that ``1``, ``1.0`` and ``"1"`` are one id; ``None`` if it is none."""
    if isinstance(value, str):
        return value.strip() or None
    if not is_number(value):
        return None
    return str(int(value)) if value == int(value) else str(value)


def _categories(file: Path, content: Mapping[str, Any]) -> dict[str, str]:
    names: dict[str, str] = {}
    for index, each in enumerate(_list(file, content, "categories")):
        key, name = _id(each.get("id")), each.get("name")
        if key is None:
            raise DataError(f"{file} is not in COCO's format: categories.{index} has no id: a number or a text")
        if isinstance(name, bool) or not isinstance(name, str | int) or not str(name).strip():
            raise DataError(f"{file} is not in COCO's format: categories.{index} (id {key}) has no name")
        if names.setdefault(key, str(name).strip()) != str(name).strip():
            raise DataError(f"{file}: categories '{names[key]}' and '{name}' have the same id {key}")
    return names


def _add_objects(
    file: Path, content: Mapping[str, Any], images: Mapping[str, Annotated], names: Mapping[str, str]
) -> list[tuple[Sequence[Any], Annotated]]:
    """Give each annotation to its image; return the boxes as the file has them."""
    seen: set[str] = set()
    boxes: list[tuple[Sequence[Any], Annotated]] = []
    for index, each in enumerate(_list(file, content, "annotations")):
        own = _id(each.get("id"))
        place = f"annotation {index}" if own is None else f"annotation {own}"
        if own is not None and own in seen:
            raise DataError(f"{file}: two annotations have the same id {own}")
        seen |= {own} if own is not None else set()
        image = images.get(_id(each.get("image_id")) or "")
        if image is None:
            raise DataError(f"{file}: {place} is about image {each.get('image_id')}, which the file has not")
        found, box = _object(each, names)
        image.objects.append({PLACE: place, "iscrowd": each.get("iscrowd", 0), **found})
        if box is not None:
            boxes.append((box, image))
    return boxes


def _object(each: Mapping[str, Any], names: Mapping[str, str]) -> tuple[dict[str, Any], Sequence[Any] | None]:
    """Return an object, with the reason where it cannot be used, and its box as the file has it."""
    label = names.get(_id(each.get("category_id")) or "")
    if label is None:
        return {PROBLEM: f"is of category {each.get('category_id')}, which the file has not"}, None
    box = each.get("bbox")
    if not box and (outline := _outline(each.get("segmentation"))) is not None:
        note(DRAWN)
        return as_object(label, outline), None
    if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
        return {"label": label, PROBLEM: f"has no bbox of four numbers: {shown(box, 60)}"}, None
    left, top, width, height = box
    if width <= 0 or height <= 0:
        return {"label": label, PROBLEM: f"has an empty bbox {box}: width and height must be above 0"}, box
    return as_object(label, Box(left, top, left + width, top + height)), box


def _outline(segmentation: Any) -> Box | None:
    """Return the box around polygons, or ``None`` if there are none."""
    if not isinstance(segmentation, list) or not segmentation:
        return None
    polygons = segmentation if all(isinstance(part, list) for part in segmentation) else [segmentation]
    if not all(len(part) >= 6 and len(part) % 2 == 0 and all(map(is_number, part)) for part in polygons):
        return None
    across = [value for part in polygons for value in part[::2]]
    down = [value for part in polygons for value in part[1::2]]
    return Box(min(across), min(down), max(across), max(down))


def _require_pixels(file: Path, boxes: Sequence[tuple[Sequence[Any], Annotated]]) -> None:
    """Raise if the boxes of a file cannot be COCO's: left, top, width and height in pixels."""
    sizes = []
    for box, image in boxes:
        try:
            size = declared_size(image.size)
        except BadExampleError:
            continue
        if size is not None:
            sizes.append((box, size))
    if boxes and all(max(box) <= 1 for box, _ in boxes) and not all(max(size) <= 1 for _, size in sizes):
        raise DataError(
            f"{file}: all {len(boxes)} boxes lie between 0 and 1, so they are shares of the images; COCO's are in "
            "pixels: multiply them by width and height"
        )
    if _are_corners(sizes):
        raise DataError(
            f"{file}: its boxes are corners [left, top, right, bottom], for as COCO's [left, top, width, height] many "
            "would reach out of their images; subtract left and top from the last two numbers"
        )


def _are_corners(boxes: Sequence[tuple[Sequence[Any], Size]]) -> bool:
    """Tell whether boxes of left, top, width and height must really be edges: left, top, right, bottom.

    As widths and heights they would leave their pictures again and again; as edges not one of them does.

    Args:
        boxes: Four numbers each, and the size of the picture.
    """
    if len(boxes) < 4:
        return False
    leave = sum(x + w > size.width + 1 or y + h > size.height + 1 for (x, y, w, h), size in boxes)
    edges = all(x < w <= max(size) + 1 and y < h <= max(size) + 1 for (x, y, w, h), size in boxes)
    return edges and leave * 4 >= len(boxes)
