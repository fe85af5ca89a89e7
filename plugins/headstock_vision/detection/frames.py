"""The two frames of a photograph: as its pixels are stored, and as a viewer shows it after turning it by EXIF."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from headstock import BadExampleError

Which = Literal["stored", "shown"]


class Size(NamedTuple):
    """Pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


class Box(NamedTuple):
    """Edges in pixels, from the left and the top."""

    xmin: float
    ymin: float
    xmax: float
    ymax: float


Point = tuple[float, float]

UPRIGHT = 1
TURNS: Mapping[int, Callable[[float, float, float, float], Point]] = {
    UPRIGHT: lambda x, y, width, height: (x, y),
    2: lambda x, y, width, height: (width - x, y),
    3: lambda x, y, width, height: (width - x, height - y),
    4: lambda x, y, width, height: (x, height - y),
    5: lambda x, y, width, height: (y, x),
    6: lambda x, y, width, height: (height - y, x),
    7: lambda x, y, width, height: (height - y, width - x),
    8: lambda x, y, width, height: (y, width - x),
}
"""For each EXIF orientation, where a point (x, y) of the stored picture of width and height is shown."""
SIDEWAYS = (5, 6, 7, 8)
"""Orientations that swap width and height."""


class Frame(NamedTuple):
    """The picture that is stored, and how it is to be shown.

    Attributes:
        width: Of the stored picture.
        height: Of the stored picture.
        orientation: EXIF's, 1 to 8; 1 is upright.
    """

    width: int
    height: int
    orientation: int = UPRIGHT

    @property
    def stored(self) -> Size:
        """Size of the stored picture."""
        return Size(self.width, self.height)

    @property
    def shown(self) -> Size:
        """Size of the picture as a viewer shows it, which is what a model sees."""
        return Size(self.height, self.width) if self.orientation in SIDEWAYS else self.stored

    @property
    def turned(self) -> bool:
        """Whether the two differ."""
        return self.orientation != UPRIGHT

    def as_shown(self, box: Box) -> Box:
        """Turn a box of the stored picture with the picture."""
        turn = TURNS[self.orientation]
        one = turn(box.xmin, box.ymin, self.width, self.height)
        other = turn(box.xmax, box.ymax, self.width, self.height)
        return Box(min(one[0], other[0]), min(one[1], other[1]), max(one[0], other[0]), max(one[1], other[1]))


def frame_of_declared(frame: Frame, declared: Size) -> Which | None:
    """Return which frame a declared size is that of, or ``None`` if it is that of both.

    Raises:
        BadExampleError: it is that of neither.
    """
    fits: list[Which] = []
    if declared == frame.stored:
        fits.append("stored")
    if declared == frame.shown:
        fits.append("shown")
    if not fits:
        turned = f", {frame.shown} as it is shown" if frame.shown != frame.stored else ""
        raise BadExampleError(
            f"its boxes are for a picture of {declared} pixels, and the picture has {frame.stored}{turned}; "
            "resize one to fit the other"
        )
    return fits[0] if len(fits) == 1 else None


def frame_of_boxes(frame: Frame, boxes: Sequence[Box]) -> Which | None:
    """Return the only frame that boxes lie in, or ``None`` if they lie in both or in neither."""
    stored, shown = (_hold(size, boxes) for size in (frame.stored, frame.shown))
    if stored == shown:
        return None
    return "stored" if stored else "shown"


def _hold(size: Size, boxes: Iterable[Box]) -> bool:
    return all(box.xmax <= size.width and box.ymax <= size.height for box in boxes)


def clip(box: Box, size: Size) -> Box | None:
    """Return the part of a box that lies in the picture, or ``None`` if it lies outside."""
    cut = Box(max(box.xmin, 0.0), max(box.ymin, 0.0), min(box.xmax, size.width), min(box.ymax, size.height))
    return cut if cut.xmin < cut.xmax and cut.ymin < cut.ymax else None
