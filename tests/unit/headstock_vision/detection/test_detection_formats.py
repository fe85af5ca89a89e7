from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from headstock.data import DataConfig, load_evaluation, load_splits
from headstock.interfaces import BadExampleError, DataError, Request
from headstock.interfaces.notes import noting
from headstock.preprocessing.reading import read_split
from headstock_vision.detection.objects import read_objects
from headstock_vision.detection.references import LEFT_OUT
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
    assert read_objects(value, box_format).objects == [CAT]


def test_an_image_without_objects() -> None:
    assert read_objects([], "xywh") == read_objects({"bbox": [], "category": []}, "xywh") == ([], [], [])


def test_a_crowd_is_marked() -> None:
    rows = [{**CAT, "iscrowd": 1}, {**CAT, "iscrowd": 0}]
    lists = {"bbox": [[1, 2, 4, 6]] * 2, "category": ["cat"] * 2, "iscrowd": [True, False]}
    for value in (rows, lists):
        assert read_objects(value, "xywh").objects == [{**CAT, "crowd": True}, CAT]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "written as an empty list"),
        ("cat", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        (7, "holds int"),
        (b"[]", "holds bytes"),
        ({"bbox": [[1, 2, 4, 6]]}, "needs a list of boxes and of labels"),
        ({"bbox": "abcd", "category": "abcd"}, "needs a list of boxes and of labels"),
        ({"bbox": [[1, 2, 4, 6]], "category": []}, "1 boxes and 0 labels"),
    ],
)
def test_what_is_no_list_of_objects(value: Any, message: str) -> None:
    with pytest.raises(BadExampleError, match=message):
        read_objects(value, "xywh")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("cat", "object 2 is str"),
        ({"box": BOX}, "object 2 has no label"),
        ({"label": "cat"}, "object 2 ('cat') has no box"),
        ({"label": "cat", "box": [1, 2, 3]}, "object 2 ('cat') has no box: four numbers"),
        ({"label": "cat", "box": [1, 2, 3, float("nan")]}, "object 2 ('cat') has no box"),
        ({"label": "cat", "box": [1, 2, 3, float("inf")]}, "object 2 ('cat') has no box"),
        ({"label": "cat", "box": [1, 2, 3, 10**400]}, "object 2 ('cat') has no box"),
        ({"label": "cat", "box": [1, 2, 3, "4"]}, "object 2 ('cat') has no box"),
        ({"label": "cat", "box": [1, 2, 3, True]}, "object 2 ('cat') has no box"),
        ({"label": "cat", "box": [1, 2, 0, 3]}, "object 2 ('cat') has an empty box: xmin=1, ymin=2, xmax=1, ymax=5"),
        ({"label": "cat", "box": [5, 2, -3, 3]}, "object 2 ('cat') has an empty box"),
    ],
)
def test_one_bad_object_leaves_the_others(bad: Any, message: str) -> None:
    found = read_objects([CAT, bad, CAT], "xywh")
    assert found.objects == [CAT, CAT]
    assert len(found.problems) == 1
    assert found.problems[0].startswith(message)


# In a run


@pytest.mark.parametrize("labels", ["labels/a.txt", "labels/train/a.txt", "train/labels/a.txt"])
def test_the_layout_of_yolo_is_refused_with_advice(tmp_path: Path, labels: str) -> None:
    file = tmp_path / labels
    picture(tmp_path / labels.replace("labels", "images").replace(".txt", ".jpg"))
    file.parent.mkdir(parents=True)
    file.write_text("0 0.5 0.5 0.1 0.1")
    with pytest.raises(DataError, match=r"is in YOLO's layout .*; convert it to COCO .* or Pascal VOC"):
        TASK.read(Request(tmp_path))
    assert TASK.read(Request(tmp_path, with_targets=False)) is None


def test_with_skip_bad_boxes_are_left_out_and_counted(tmp_path: Path) -> None:
    for number in range(2):
        picture(tmp_path / f"{number}.jpg")
        xml(tmp_path / f"{number}.xml", f"{number}.jpg", xmin="5" if number else "1")
    table = load_evaluation(DataConfig(path=str(tmp_path)), TASK.columns, reader=TASK)
    split = read_split("test", table, TASK, "skip")
    assert split.references == [[CAT], []]
    assert split.skipped == []
    assert {what: noted.count for what, noted in split.notes.summary().items()} == {LEFT_OUT: 1}
    with pytest.raises(BadExampleError, match=r"1\.xml: object 1 \('cat'\) has an empty box: .* leaves such parts out"):
        read_split("test", table, TASK, "error")


def test_an_image_that_is_missing_is_named_in_a_table_too(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    coco(tmp_path / "cats.json", "a.jpg", "gone.jpg")
    table = load_evaluation(DataConfig(path=str(tmp_path / "cats.json")), TASK.columns, reader=TASK)
    split = read_split("test", table, TASK, "skip")
    assert [line.partition("there is no ")[2].partition(" in ")[0] for line in split.skipped] == ["'gone.jpg'"]


def test_a_mapping_of_columns_has_no_say_in_them(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    coco(tmp_path / "cats.json", "a.jpg")
    with noting() as found:
        TASK.read(Request(tmp_path / "cats.json", columns={"image": "file"}))
    assert found == {"data.columns.image left out, for Pascal VOC and COCO name what they hold themselves": 1}


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
    assert cut["train"].where(0) == str(tmp_path / "all/0.xml")
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
