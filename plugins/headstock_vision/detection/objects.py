"""Objects in an image: a label and a box in pixels, as data sets write them and as Hugging Face's pipelines do."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeGuard

from headstock import BadExampleError, shown
from headstock_vision.detection.frames import Box

BoxFormat = Literal["xywh", "xyxy"]
SIDES = ("xmin", "ymin", "xmax", "ymax")
BOX_KEYS = ("box", "bbox", "boxes", "bboxes")
LABEL_KEYS = ("label", "category", "labels", "categories", "class", "name")
CROWD = "crowd"
"""Key of an object that is a crowd: no training target, and neither right nor wrong to be found."""
PLACE = "\0place"
"""Key, as no data has it, under which the readers of COCO and VOC say which annotation an object is, for messages."""
PROBLEM = "\0problem"
"""Key under which they say why an object cannot be used."""


class Found(NamedTuple):
    """What a row holds.

    Attributes:
        objects: ``[{"label": …, "box": {"xmin": …, "ymin": …, "xmax": …, "ymax": …}}, …]``; a crowd has ``crowd`` too.
        places: For each of them how messages call it.
        problems: A line for each object that cannot be used.
    """

    objects: list[dict[str, Any]]
    places: list[str]
    problems: list[str]


def read_objects(value: Any, box_format: BoxFormat) -> Found:
    """Return the objects that a row holds.

    Args:
        value: A list of mappings with a label and a box, a mapping of a list of boxes and one of labels, or either as
            a JSON text. A box is a mapping with the names of the edges, or four numbers.
        box_format: What four numbers mean: ``xywh`` (left, top, width, height) or ``xyxy`` (the edges).

    Raises:
        BadExampleError: it is none of these.
    """
    if value is None:
        raise BadExampleError("no objects; an image without any is written as an empty list: []")
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise BadExampleError(f"column 'objects' is not JSON: {error}") from error
    if isinstance(value, Mapping):
        value = _listed(value)
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise BadExampleError(f"column 'objects' holds {type(value).__name__}, not a list of objects")
    found = Found([], [], [])
    for number, each in enumerate(value, 1):
        place = _place(number, each)
        try:
            found.objects.append(_object(each, box_format))
            found.places.append(place)
        except BadExampleError as error:
            found.problems.append(f"{place} {error}")
    return found


def as_object(label: str, box: Box) -> dict[str, Any]:
    """Return an object in the form of :class:`Found`."""
    return {"label": label, "box": box._asdict()}


def box_of(found: Mapping[str, Any]) -> Box:
    """Return the box of an object."""
    return Box(**found["box"])


def is_box(value: Any) -> bool:
    """Tell whether a value names the four edges with numbers, whatever these are."""
    return isinstance(value, Mapping) and all(is_number(value.get(side)) for side in SIDES)


def is_number(value: Any) -> TypeGuard[int | float]:
    """Tell whether a value of JSON is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an int of hundreds of digits
        return False


def _listed(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Turn a mapping of lists into a list of mappings."""
    boxes, labels = _pick(value, BOX_KEYS), _pick(value, LABEL_KEYS)
    if not _is_list(boxes) or not _is_list(labels):
        keys = ", ".join(map(str, value)) or "none"
        raise BadExampleError(f"column 'objects' has the keys {keys}; it needs a list of boxes and of labels")
    if len(boxes) != len(labels):
        raise BadExampleError(f"column 'objects' has {len(boxes)} boxes and {len(labels)} labels")
    given = value.get("iscrowd")
    crowds = given if _is_list(given) and len(given) == len(boxes) else [0] * len(boxes)
    return [
        {"box": box, "label": label, "iscrowd": crowd} for box, label, crowd in zip(boxes, labels, crowds, strict=True)
    ]


def _is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _pick(value: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((value[key] for key in keys if key in value), None)


def _place(number: int, value: Any) -> str:
    """Return how a message calls an object: which one it is, and its label."""
    place = f"object {number}"
    if not isinstance(value, Mapping):
        return place
    label = _pick(value, LABEL_KEYS)
    named = f" ({shown(str(label), 42)})" if isinstance(label, str | int) and str(label).strip() else ""
    return f"{value.get(PLACE, place)}{named}"


def _object(value: Any, box_format: BoxFormat) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise BadExampleError(f"is {type(value).__name__}, not a mapping with a label and a box")
    if value.get(PROBLEM) is not None:
        raise BadExampleError(value[PROBLEM])
    label = _pick(value, LABEL_KEYS)
    if isinstance(label, bool) or not isinstance(label, str | int) or not str(label).strip():
        raise BadExampleError("has no label")
    found = as_object(str(label).strip(), _box(_pick(value, BOX_KEYS), box_format))
    return {**found, CROWD: True} if value.get("iscrowd") or value.get(CROWD) else found


def _box(value: Any, box_format: BoxFormat) -> Box:
    if isinstance(value, Mapping):
        value = [value.get(side) for side in SIDES]
        box_format = "xyxy"
    if not _is_list(value) or len(value) != 4 or not all(map(is_number, value)):
        held = "" if value is None else f", not {shown(value, 60)}"
        raise BadExampleError(f"has no box: four numbers, or a mapping with {', '.join(SIDES)}{held}")
    left, top, third, fourth = map(float, value)
    box = Box(left, top, third, fourth) if box_format == "xyxy" else Box(left, top, left + third, top + fourth)
    if box.xmax <= box.xmin or box.ymax <= box.ymin:
        edges = ", ".join(f"{side}={edge:g}" for side, edge in box._asdict().items())
        raise BadExampleError(f"has an empty box: {edges}")
    return box
