from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from headstock.data import DataConfig, load_evaluation, load_splits
from headstock.interfaces import BadExampleError, DataError, Request
from headstock_vision.detection.objects import read_objects
from headstock_vision.tasks.object_detection import ObjectDetection

BOX = {"xmin": 1.0, "ymin": 2.0, "xmax": 5.0, "ymax": 8.0}
CAT = {"label": "cat", "box": BOX}
TASK = ObjectDetection(ObjectDetection.Config())


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 10)).save(path)
    return path


def xml(path: Path, image: str, *, name: str = "cat", xmin: str = "1") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    box = f"<bndbox><xmin>{xmin}</xmin><ymin>2</ymin><xmax>5</xmax><ymax>8</ymax></bndbox>"
    path.write_text(
        f"<annotation><filename>{image}</filename><object><name>{name}</name>{box}</object></annotation>", "utf-8"
    )


def coco(path: Path, *names: str, **changes: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "info": {},
        "images": [{"id": number, "file_name": name, "width": 20} for number, name in enumerate(names)],
        "categories": [{"id": 7, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 0, "category_id": 7, "bbox": [1, 2, 4, 6], "iscrowd": 0},
            {"id": 2, "image_id": 0, "category_id": 7, "bbox": [0, 0, 20, 10], "iscrowd": 1},
        ],
        **changes,
    }
    path.write_text(json.dumps(content), "utf-8")


def splits(path: Path) -> Any:
    found = TASK.read(Request(path))
    assert found is not None
    return found


# Objects of a row


@pytest.mark.parametrize(
    ("value", "box_format"),
    [
        ([CAT], "xywh"),
        ([{"label": "cat", "bbox": [1, 2, 4, 6]}], "xywh"),
        ([{"category": " cat ", "box": [1, 2, 5, 8]}], "xyxy"),
        ({"bbox": [[1, 2, 4, 6]], "category": ["cat"], "id": [3], "area": [24]}, "xywh"),
        ('[{"label": "cat", "box": [1, 2, 4, 6]}]', "xywh"),
    ],
)
def test_ways_to_write_objects(value: Any, box_format: Any) -> None:
    assert read_objects(value, box_format) == [CAT]


def test_an_image_without_objects() -> None:
    assert read_objects([], "xywh") == read_objects({"bbox": [], "category": []}, "xywh") == []


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "written as an empty list"),
        ("cat", "is not JSON"),
        (7, "holds int"),
        ({"bbox": [[1, 2, 4, 6]]}, "needs a list of boxes and of labels"),
        ({"bbox": [[1, 2, 4, 6]], "category": []}, "1 boxes and 0 labels"),
        ([CAT, "cat"], "object 2 is str"),
        ([{"box": BOX}], "object 1 has no label"),
        ([{"label": "cat"}], "object 1 has no box"),
        ([{"label": "cat", "box": [1, 2, 3]}], "object 1 has no box"),
        ([{"label": "cat", "box": [1, 2, 3, float("nan")]}], "object 1 has no box"),
        ([{"label": "cat", "box": [1, 2, 0, 3]}], "object 1 has an empty box"),
    ],
)
def test_objects_that_cannot_be_used(value: Any, message: str) -> None:
    with pytest.raises(BadExampleError, match=message):
        read_objects(value, "xywh")


# Pascal VOC


@pytest.mark.parametrize("lists", ["", "ImageSets/Main"])
def test_voc_with_lists(tmp_path: Path, lists: str) -> None:
    for name in ("a", "b", "c"):
        picture(tmp_path / "JPEGImages" / f"{name}.jpg")
        xml(tmp_path / "Annotations" / f"{name}.xml", f"{name}.jpg")
    (tmp_path / lists).mkdir(parents=True, exist_ok=True)
    (tmp_path / lists / "train.txt").write_text("a\nb 1\n\n")
    (tmp_path / lists / "val.txt").write_text("c\n")
    found = splits(tmp_path)
    assert {name: len(rows) for name, rows in found.items()} == {"train": 2, "validation": 1}
    assert found["validation"] == [{"image": str(tmp_path / "JPEGImages/c.jpg"), "objects": [CAT]}]


def test_voc_without_lists_and_with_folders_for_splits(tmp_path: Path) -> None:
    xml(tmp_path / "flat/Annotations/a.xml", "gone.jpg")
    picture(tmp_path / "flat/JPEGImages/a.png")
    assert splits(tmp_path / "flat")["train"][0]["image"].endswith("a.png")
    for split in ("train", "test"):
        xml(tmp_path / "folders" / split / "a.xml", "a.jpg")
        picture(tmp_path / "folders" / split / "a.jpg")
    assert set(splits(tmp_path / "folders")) == {"train", "test"}
    assert set(splits(tmp_path / "folders/test")) == {"train"}


def test_voc_that_is_damaged(tmp_path: Path) -> None:
    file = tmp_path / "a.xml"
    xml(file, "a.jpg")
    with pytest.raises(DataError, match=r"a\.xml is about 'a\.jpg', which is not in"):
        TASK.read(Request(tmp_path))
    picture(tmp_path / "a.jpg")
    for changes in ({"xmin": "left"}, {"name": ""}):
        xml(file, "a.jpg", **changes)
        with pytest.raises(DataError, match=r"a\.xml: object 1 has no name, or no bndbox"):
            TASK.read(Request(tmp_path))
    file.write_text("<annotation>")
    with pytest.raises(DataError, match=r"a\.xml is not readable XML"):
        TASK.read(Request(tmp_path))
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "train.txt").write_text("b\n")
    with pytest.raises(DataError, match=r"train\.txt lists 'b', but there is no"):
        TASK.read(Request(tmp_path))


# COCO


def test_coco_as_it_is_published(tmp_path: Path) -> None:
    for split in ("train2017", "val2017"):
        picture(tmp_path / split / "a.jpg")
        coco(tmp_path / f"annotations/instances_{split}.json", "a.jpg")
        (tmp_path / f"annotations/captions_{split}.json").write_text('{"images": [], "annotations": []}')
    found = splits(tmp_path)
    assert found["validation"] == [{"image": str(tmp_path / "val2017/a.jpg"), "objects": [CAT]}]
    assert set(found) == {"train", "validation"}


def test_coco_among_the_images_and_as_one_file(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        picture(tmp_path / split / "a.jpg")
        picture(tmp_path / split / "none.jpg")
        coco(tmp_path / split / "_annotations.coco.json", "a.jpg", "none.jpg")
    found = splits(tmp_path)
    assert [row["objects"] for row in found["validation"]] == [[CAT], []]
    assert set(splits(tmp_path / "train")) == {"train"}
    coco(tmp_path / "cats.json", "a.jpg")
    picture(tmp_path / "images/a.jpg")
    assert splits(tmp_path / "cats.json")["train"][0]["image"] == str(tmp_path / "images/a.jpg")


def test_coco_that_is_damaged(tmp_path: Path) -> None:
    file = tmp_path / "cats.json"
    coco(file, "a.jpg")
    with pytest.raises(DataError, match=r"cats\.json names 'a\.jpg', which is in none of"):
        TASK.read(Request(file))
    picture(tmp_path / "a.jpg")
    coco(file, "a.jpg", categories=[])
    with pytest.raises(DataError, match="annotation 0 is about category 7, which the file has not"):
        TASK.read(Request(file))
    coco(file, "a.jpg", images=[{"id": 0}])
    with pytest.raises(DataError, match=r"not in COCO's format: images\.0\.file_name"):
        TASK.read(Request(file))


# In a run


def test_other_data_is_left_to_the_common_formats(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text("[]")
    (tmp_path / "rows.csv").write_text("image,objects\n")
    for path in (tmp_path, tmp_path / "rows.json", tmp_path / "rows.csv"):
        assert TASK.read(Request(path)) is None


def load(**options: Any) -> Any:
    return load_splits(DataConfig(**options), TASK.columns, TASK.sample, TASK)


def test_splits_of_own_forms_of_data(tmp_path: Path) -> None:
    for number in range(20):
        picture(tmp_path / f"all/{number}.jpg")
        xml(tmp_path / f"all/{number}.xml", f"{number}.jpg")
    cut = load(path=str(tmp_path / "all"))
    assert {name: len(table) for name, table in cut.items()} == {"train": 16, "validation": 2, "test": 2}
    assert cut["train"].where(0).startswith(f"{tmp_path / 'all'} train row ")
    whole = load_evaluation(DataConfig(path=str(tmp_path / "all")), TASK.columns, reader=TASK)
    assert len(whole) == 20
    picture(tmp_path / "a.jpg")
    coco(tmp_path / "cats.json", "a.jpg")
    mixed = load(train=str(tmp_path / "all"), test=str(tmp_path / "cats.json"))
    assert len(mixed["test"]) == 1
    for split in ("train", "valid"):
        xml(tmp_path / "two" / split / "a.xml", "a.jpg")
        picture(tmp_path / "two" / split / "a.jpg")
    with pytest.raises(DataError, match="no test data inside; it has: train, validation"):
        load_evaluation(DataConfig(path=str(tmp_path / "two")), TASK.columns, reader=TASK)


def test_an_own_form_without_rows_or_training_data(tmp_path: Path) -> None:
    coco(tmp_path / "none.json", images=[], annotations=[])
    with pytest.raises(DataError, match=r"none\.json has no rows"):
        load(path=str(tmp_path / "none.json"))
    (tmp_path / "voc/Annotations").mkdir(parents=True)
    picture(tmp_path / "voc/JPEGImages/a.jpg")
    xml(tmp_path / "voc/Annotations/a.xml", "a.jpg")
    (tmp_path / "voc/test.txt").write_text("a\n")
    with pytest.raises(DataError, match="no train data inside; it has: test"):
        load(path=str(tmp_path / "voc"))
