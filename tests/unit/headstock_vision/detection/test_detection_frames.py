from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from headstock.interfaces import BadExampleError
from headstock.interfaces.notes import noting
from headstock_vision.decode import decode_image, read_frame
from headstock_vision.detection.frames import Box, Size
from headstock_vision.detection.references import SHOWN, TURNED, OneFile, as_shown, declared_size, read_reference
from headstock_vision.formats.coco import read_coco
from headstock_vision.tasks.object_detection import ObjectDetection

WIDTH, HEIGHT = 40, 24
RED = (24, 2, 36, 10)
"""Where the stored picture is red: left, top, right, bottom; only in it, not in the turned one, is there room."""


def encoded(orientation: int, kind: str = "PNG", size: tuple[int, int] = (WIDTH, HEIGHT)) -> bytes:
    image = Image.new("RGB", size)
    image.paste((255, 0, 0), RED)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    image.save(stream, kind, exif=exif, **({"quality": 100, "subsampling": 0} if kind == "JPEG" else {}))
    return stream.getvalue()


def red_box(content: bytes) -> list[int]:
    """Return where a model sees red."""
    rows, columns = np.nonzero(decode_image(content)[0].numpy() > 128)
    return [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]


def reference(content: Any, declared: Size | None, box: Any = RED) -> list[float]:
    size = {} if declared is None else declared._asdict()
    (found,) = read_reference({"objects": [{"label": "red", "box": list(box)}], **size}, content, "xyxy")
    return list(found["box"].values())


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_frame_is_that_of_the_pixels(orientation: int, kind: str) -> None:
    frame = read_frame(encoded(orientation, kind))
    assert frame == (WIDTH, HEIGHT, orientation)
    assert frame.shown == decode_image(encoded(orientation, kind)).shape[:0:-1]


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_declared_size_says_in_which_frame_boxes_are(orientation: int) -> None:
    content = encoded(orientation)
    shown = red_box(content)
    assert shown != list(RED)
    with noting() as notes:
        assert reference(content, Size(WIDTH, HEIGHT)) == shown
        assert reference(content, Size(HEIGHT, WIDTH), shown) == shown
    assert notes == {TURNED: 1}
    with pytest.raises(BadExampleError, match="a picture of 80x48 pixels, and the picture has 40x24, 24x40 as"):
        reference(content, Size(80, 48))


def test_a_size_that_is_not_the_pictures_is_an_error() -> None:
    with pytest.raises(BadExampleError, match="boxes are for a picture of 24x40 pixels, and the picture has 40x24;"):
        reference(encoded(1), Size(HEIGHT, WIDTH))


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_where_both_frames_have_one_size_the_other_images_decide(tmp_path: Path, orientation: int) -> None:
    content, declared = encoded(orientation), Size(WIDTH, HEIGHT)
    with noting() as notes:
        assert reference(content, declared) == list(RED)
    assert notes == {SHOWN: 1}
    path = tmp_path / "other.png"
    path.write_bytes(encoded(6))
    frame, gone = read_frame(content), (str(tmp_path / "gone.png"), declared)
    stored, shown = (str(path), declared), (str(path), Size(HEIGHT, WIDTH))
    for images, how in (([stored, gone], "turned"), ([shown], "shown"), ([stored, shown], "assumed"), ([], "assumed")):
        found, (box,) = as_shown(frame, [Box(*RED)], declared, OneFile(images))
        assert found == how
        assert list(box) == (red_box(content) if how == "turned" else list(RED))


def test_rows_of_one_file_are_all_turned_alike(tmp_path: Path) -> None:
    images = []
    for number, orientation in enumerate((6, 3, 1)):
        (tmp_path / f"{number}.png").write_bytes(encoded(orientation))
        images.append({"id": number, "file_name": f"{number}.png", "width": WIDTH, "height": HEIGHT})
    left, top, right, bottom = RED
    boxes = [
        {"image_id": each["id"], "category_id": 1, "bbox": [left, top, right - left, bottom - top]} for each in images
    ]
    content = {"images": images, "categories": [{"id": 1, "name": "red"}], "annotations": boxes}
    (tmp_path / "_annotations.coco.json").write_text(json.dumps(content))
    found = read_coco(tmp_path)
    assert found is not None
    task = ObjectDetection(ObjectDetection.Config())
    with noting() as notes:
        for row in [*found["train"], *found["train"][:2]]:
            seen = red_box(Path(row["image"]).read_bytes())
            assert list(row["objects"][0]["box"].values()) == seen
            assert list(task.reference(row)[0]["box"].values()) == seen
    assert notes == {TURNED: 4}


def test_without_a_declared_size_boxes_that_fit_one_frame_decide() -> None:
    content = encoded(6)
    with noting() as notes:
        assert reference(content, None) == red_box(content)
        assert reference(content, None, (2, 30, 10, 40)) == [2, 30, 10, 40]
    assert notes == {TURNED: 1}
    with noting() as notes:
        assert reference(content, None, (2, 2, 10, 10)) == [2, 2, 10, 10]
    assert notes == {SHOWN: 1}


def test_training_and_predictions_are_in_the_frame_of_viewers() -> None:
    task = ObjectDetection(ObjectDetection.Config(box_format="xyxy"))
    row = {"image": encoded(6), "objects": [{"label": "red", "box": list(RED)}], "width": WIDTH, "height": str(HEIGHT)}
    assert list(task.reference(row)[0]["box"].values()) == red_box(encoded(6))


@pytest.mark.parametrize("value", [None, "", " ", 0, "0"])
def test_a_size_that_is_not_filled_in(value: Any) -> None:
    assert declared_size({"width": value, "height": 10}) is None


@pytest.mark.parametrize("value", ["wide", -3, 2.5, float("nan"), True, [4]])
def test_a_size_that_is_none(value: Any) -> None:
    with pytest.raises(BadExampleError, match=r"width is .*, not a number of pixels"):
        declared_size({"width": value, "height": 10})


def test_shares_of_the_image_are_not_taken_for_pixels() -> None:
    with pytest.raises(BadExampleError, match="all of its boxes lie between 0 and 1, so they are shares"):
        reference(encoded(1), None, (0.1, 0.2, 0.6, 1.0))
    dot = Image.new("RGB", (1, 1))
    assert reference(dot, None, (0, 0, 1, 1)) == [0, 0, 1, 1]


def test_references_are_cut_at_the_edge_as_targets_are() -> None:
    with noting() as notes:
        assert reference(np.zeros((10, 20, 3), np.uint8), Size(20, 10), (-3, 4, 25, 9)) == [0, 4, 20, 9]
    assert sum(notes.values()) == 1
