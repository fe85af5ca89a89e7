"""Objects in an image: a label and a box in pixels, as data sets write them and as Hugging Face's pipelines do."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from headstock import BadExampleError

BoxFormat = Literal["xywh", "xyxy"]
SIDES = ("xmin", "ymin", "xmax", "ymax")
BOX_KEYS = ("box", "bbox", "boxes", "bboxes")
LABEL_KEYS = ("label", "category", "labels", "categories", "class", "name")


class Box(NamedTuple):
    """Edges in pixels, from the left and the top."""

    xmin: float
    ymin: float
    xmax: float
    ymax: float


def read_objects(value: Any, box_format: BoxFormat) -> list[dict[str, Any]]:
    """Return ``[{"label": …, "box": {"xmin": …, "ymin": …, "xmax": …, "ymax": …}}, …]`` of what a row holds.

    Args:
        value: A list of mappings with a label and a box, a mapping of a list of boxes and one of labels, or either as
            a JSON text. A box is a mapping as above, or four numbers.
        box_format: What four numbers mean: ``xywh`` (left, top, width, height) or ``xyxy`` (the edges).

    Raises:
        BadExampleError: it is none of these, or an object has no label or an empty box.
    """
    if value is None:
        raise BadExampleError("no objects; an image without any is written as an empty list: []")
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError as error:
            raise BadExampleError(f"column 'objects' is not JSON: {error}") from error
    if isinstance(value, Mapping):
        value = _listed(value)
    if not isinstance(value, Sequence):
        raise BadExampleError(f"column 'objects' holds {type(value).__name__}, not a list of objects")
    return [_object(number, each, box_format) for number, each in enumerate(value, 1)]


def as_object(label: str, box: Box) -> dict[str, Any]:
    """Return an object in the form of :func:`read_objects`."""
    return {"label": label, "box": box._asdict()}


def _listed(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Turn a mapping of lists into a list of mappings."""
    boxes, labels = _pick(value, BOX_KEYS), _pick(value, LABEL_KEYS)
    if not isinstance(boxes, Sequence) or not isinstance(labels, Sequence):
        raise BadExampleError(f"column 'objects' has the keys {sorted(value)}; it needs a list of boxes and of labels")
    if len(boxes) != len(labels):
        raise BadExampleError(f"column 'objects' has {len(boxes)} boxes and {len(labels)} labels")
    return [{"box": box, "label": label} for box, label in zip(boxes, labels, strict=True)]


def _pick(value: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((value[key] for key in keys if key in value), None)


def _object(number: int, value: Any, box_format: BoxFormat) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise BadExampleError(f"object {number} is {type(value).__name__}, not a mapping with a label and a box")
    label = _pick(value, LABEL_KEYS)
    if isinstance(label, bool) or not isinstance(label, str | int) or not str(label).strip():
        raise BadExampleError(f"object {number} has no label")
    box = _box(number, _pick(value, BOX_KEYS), box_format)
    return as_object(str(label).strip(), box)


def _box(number: int, value: Any, box_format: BoxFormat) -> Box:
    if isinstance(value, Mapping):
        value = [value.get(side) for side in SIDES]
        box_format = "xyxy"
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 4 or not all(map(_is_number, value)):
        raise BadExampleError(f"object {number} has no box: four numbers, or a mapping with {', '.join(SIDES)}")
    left, top, third, fourth = map(float, value)
    box = Box(left, top, third, fourth) if box_format == "xyxy" else Box(left, top, left + third, top + fourth)
    if box.xmax <= box.xmin or box.ymax <= box.ymin:
        raise BadExampleError(f"object {number} has an empty box: {[round(side, 2) for side in box]} (edges)")
    return box


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
