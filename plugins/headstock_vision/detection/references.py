"""What is right for an image: its objects, cut at the picture's edge, in the frame that a viewer and a model see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from headstock import BadExampleError, BadPartsError, note, shown
from headstock_vision.decode import read_frame
from headstock_vision.detection.frames import Box, Frame, Size, Which, clip, frame_of_boxes, frame_of_declared
from headstock_vision.detection.objects import BoxFormat, as_object, box_of, is_number, read_objects

NORMALISED = 1.01
"""Boxes whose edges are not above this are shares of the image, one for its whole width, and no pixels."""
LEFT_OUT = "boxes left out that cannot be used"
CUT = "boxes cut at the edge of their image (if many: is data.columns or task.box_format right?)"
SHOWN = "images turned by EXIF whose boxes are taken as drawn on the turned image: nothing says otherwise"
TURNED = "images turned by EXIF whose boxes were turned along"


FRAME = "frame"
"""Key of a row whose boxes are in the frame that viewers show already, with the size of that in ``width`` and
``height``: ``shown``, ``turned`` if they were turned along, ``assumed`` if nothing said that they are."""
_SAID = {"turned": TURNED, "assumed": SHOWN}


class OneFile:
    """The images of one data set that came from one tool, which drew boxes on all of them alike.

    Where EXIF turns an image such that the declared size does not tell in which frame the boxes are (half a turn,
    mirrored, square), the images of which it does tell decide.

    Args:
        images: For each image its file and the size that the data set declares.
    """

    def __init__(self, images: Sequence[tuple[str, Size]]) -> None:
        self._images = images

    @cached_property
    def usual(self) -> Which | None:
        """The frame of the images that tell one; ``None`` where none does, or not all the same."""
        seen: set[Which] = set()
        for path, declared in self._images:
            try:
                frame = read_frame(path)
                which = frame_of_declared(frame, declared) if frame.turned else None
            except BadExampleError:  # is said when the image itself is read
                continue
            if which is not None:
                seen.add(which)
        return seen.pop() if len(seen) == 1 else None


def read_reference(row: Mapping[str, Any], image: Any, box_format: BoxFormat) -> list[dict[str, Any]]:
    """Return the objects of a row, each ``{"label": …, "box": {"xmin": …, …}}``; crowds have ``"crowd": true``.

    Args:
        row: Has ``objects`` (see :func:`headstock_vision.detection.objects.read_objects`), and where the data says it
            ``width`` and ``height`` of the image on which boxes were drawn.
        image: The image's value.
        box_format: What four numbers of a box mean.

    Raises:
        BadExampleError: the objects cannot be read, or are those of an image of another size.
        BadPartsError: some objects cannot be used.
    """
    found = read_objects(row.get("objects"), box_format)
    boxes = [box_of(each) for each in found.objects]
    declared, how = declared_size(row), row.get(FRAME)
    size = declared
    if size is None or how is None:
        frame = read_frame(image)
        how, boxes = as_shown(frame, boxes, declared)
        size = frame.shown
    if how in _SAID and boxes:
        note(_SAID[how])
    if boxes and all(max(box) <= NORMALISED for box in boxes) and min(size) > 1:
        raise BadExampleError(
            f"all of its boxes lie between 0 and 1, so they are shares of the image of {size} pixels; "
            "boxes must be in pixels: multiply them by its width and height"
        )
    problems, kept, cut_boxes = list(found.problems), [], 0
    for each, place, box in zip(found.objects, found.places, boxes, strict=True):
        cut = clip(box, size)
        if cut is None:
            edges = ", ".join(f"{side}={edge:g}" for side, edge in box._asdict().items())
            problems.append(f"{place} lies outside the image of {size} pixels: {edges}")
            continue
        cut_boxes += cut != box
        kept.append({**each, **as_object(each["label"], cut)})
    note(CUT, cut_boxes)
    if problems:
        raise BadPartsError(problems, LEFT_OUT, kept)
    return kept


def as_shown(
    frame: Frame, boxes: Sequence[Box], declared: Size | None, one_file: OneFile | None = None
) -> tuple[str, list[Box]]:
    """Return how boxes came into the frame in which viewers show an image (see :data:`FRAME`), and them in it.

    Where nothing tells in which frame they are, it is that one: most tools turn a photograph before they show it.

    Args:
        frame: Those of the image.
        boxes: All of the image.
        declared: The size of the image on which boxes were drawn, where the data says it.
        one_file: The other images of the same data, where they are known.

    Raises:
        BadExampleError: the declared size is not that of the image.
    """
    told = None if declared is None else frame_of_declared(frame, declared)
    if not frame.turned:
        return "shown", list(boxes)
    if declared is None:
        told = frame_of_boxes(frame, boxes)
    if told is None and one_file is not None:
        told = one_file.usual
    if told == "stored":
        return "turned", [frame.as_shown(box) for box in boxes]
    return "assumed" if told is None else "shown", list(boxes)


def declared_size(row: Mapping[str, Any]) -> Size | None:
    """Return the size that a row declares; ``None`` where it declares none, or nothing (0).

    Raises:
        BadExampleError: it is not a size.
    """
    sides = []
    for name in ("width", "height"):
        value = _number(row.get(name))
        if value is None or value == 0:
            return None
        if not is_number(value) or value < 0 or value != int(value):
            raise BadExampleError(f"{name} is {shown(value, 42)}, not a number of pixels")
        sides.append(int(value))
    return Size(*sides)


def _number(value: Any) -> Any:
    """Return the number that a text says, ``None`` of a blank one, and anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return float(value) if value.strip() else None
    except ValueError:
        return value
