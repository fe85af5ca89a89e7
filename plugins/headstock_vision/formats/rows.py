"""The rows that readers of boxes return: a picture, its objects, and what the data says of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

from headstock import BadExampleError, DataError
from headstock_vision.decode import read_frame
from headstock_vision.detection.frames import Size
from headstock_vision.detection.objects import PROBLEM, box_of, is_box
from headstock_vision.detection.references import FRAME, OneFile, as_shown, declared_size

MISSING = "missing"
"""Key of a row whose picture is not there: what to say of it."""


@dataclass
class Annotated:
    """One picture with its objects, while a data set is read.

    Attributes:
        place: How messages call it: the file that describes it, and in a file of many the picture.
        name: How the file calls the picture.
        path: The picture; ``None`` if it is not there.
        objects: For each object what :func:`headstock_vision.detection.objects.read_objects` takes.
        size: ``width`` and ``height`` as the file has them.
    """

    place: str
    name: str
    path: Path | None
    objects: list[dict[str, Any]] = field(default_factory=list)
    size: dict[str, Any] = field(default_factory=dict)


class PictureRows(Sequence[Mapping[str, Any]]):
    """The rows of a data set, each made when it is first asked for: boxes are turned with their picture.

    Args:
        pictures: What the data set holds.
        looked_in: Folders in which pictures were looked for.
        notes: Lines that say what was left out or guessed.
    """

    def __init__(self, pictures: Sequence[Annotated], looked_in: Sequence[Path], notes: tuple[str, ...] = ()) -> None:
        self.notes = notes
        self._pictures, self._looked_in = pictures, looked_in
        self._missing = sum(each.path is None for each in pictures)
        self._one_file = OneFile([(str(each.path), size) for each in pictures if each.path and (size := _size(each))])
        self._rows: dict[int, dict[str, Any]] = {}

    def __len__(self) -> int:
        return len(self._pictures)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        if position not in self._rows:
            self._rows[position] = self._row(self._pictures[position])
        return self._rows[position]

    def where(self, index: int) -> str:
        """Return what describes a picture: its file, and in a file of many the picture."""
        return self._pictures[index].place

    def _row(self, each: Annotated) -> dict[str, Any]:
        row = {"image": str(each.path or each.name), "objects": each.objects, **each.size}
        if each.path is None:
            folders = ", ".join(map(str, self._looked_in))
            return {
                **row,
                MISSING: f"there is no '{each.name}' in {folders}; {self._missing} of {len(self)} are missing",
            }
        sound = [found for found in each.objects if PROBLEM not in found and is_box(found["box"])]
        try:
            frame = read_frame(each.path)
            how, boxes = as_shown(frame, [box_of(found) for found in sound], declared_size(each.size), self._one_file)
        except BadExampleError:  # is said when the row is used
            return row
        for found, box in zip(sound, boxes, strict=True):
            found["box"] = box._asdict()
        return {**row, "width": frame.shown.width, "height": frame.shown.height, FRAME: how}


def picture_rows(
    source: Path, pictures: Sequence[Annotated], looked_in: Sequence[Path], notes: Mapping[str, int]
) -> PictureRows:
    """Return the rows of a data set.

    Args:
        source: The file or folder that describes it.
        pictures: What it holds.
        looked_in: Folders in which pictures were looked for.
        notes: What was noted in reading it, and how often.

    Raises:
        DataError: no picture is there, or two rows are about the same one.
    """
    missing = [each for each in pictures if each.path is None]
    if missing and len(missing) == len(pictures):
        folders = ", ".join(map(str, looked_in))
        more = f", nor any other of its {len(missing)} pictures" if len(missing) > 1 else ""
        raise DataError(f"{missing[0].place}: there is no '{missing[0].name}' in {folders}{more}")
    _require_once(source, pictures)
    return PictureRows(pictures, looked_in, tuple(f"{source}: {what}: {count:,}" for what, count in notes.items()))


def _require_once(source: Path, pictures: Sequence[Annotated]) -> None:
    seen: dict[Path, Annotated] = {}
    for each in pictures:
        if each.path is None:
            continue
        other = seen.setdefault(each.path, each)
        if other is not each:
            raise DataError(
                f"{source}: {other.place} and {each.place} are both about {each.path}; each would teach that the "
                "other's objects are none, so put them together or take one away"
            )


def _size(each: Annotated) -> Size | None:
    try:
        return declared_size(each.size)
    except BadExampleError:  # is said when the row is read
        return None
