from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from headstock.interfaces import BadExampleError, BadPartsError, DataError, Request
from headstock.interfaces.notes import noting
from headstock_vision.tasks.object_detection import ObjectDetection

CAT = {"label": "cat", "box": {"xmin": 1.0, "ymin": 2.0, "xmax": 5.0, "ymax": 8.0}}
TASK = ObjectDetection(ObjectDetection.Config())


def picture(path: Path, width: int = 20, height: int = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height)).save(path)
    return path


def box(number: Any = 1, image: Any = 0, bbox: Any = (1, 2, 4, 6), **more: Any) -> dict[str, Any]:
    return {"id": number, "image_id": image, "category_id": 7, "bbox": bbox, **more}


def coco(path: Path, *names: str, **changes: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "images": [{"id": number, "file_name": name, "width": 20, "height": 10} for number, name in enumerate(names)],
        "categories": [{"id": 7, "name": "cat", "supercategory": "animal"}],
        "annotations": [box()],
        **changes,
    }
    path.write_text(json.dumps(content), "utf-8")
    return path


def read(path: Path) -> Any:
    found = TASK.read(Request(path))
    assert found is not None
    return found


def references(path: Path) -> list[Any]:
    return [TASK.reference(row) for row in read(path)["train"]]


# Where files lie


def test_coco_as_it_is_published(tmp_path: Path) -> None:
    for split in ("train2017", "val2017"):
        picture(tmp_path / split / "a.jpg")
        coco(tmp_path / f"annotations/instances_{split}.json", "a.jpg")
        (tmp_path / f"annotations/captions_{split}.json").write_text('{"images": [], "annotations": []}')
    found = read(tmp_path)
    assert set(found) == {"train", "validation"}
    assert found["validation"][0]["image"] == str(tmp_path / "val2017/a.jpg")
    assert TASK.reference(found["validation"][0]) == [CAT]
    assert found["validation"].where(0) == f"{tmp_path}/annotations/instances_val2017.json image 0 ('a.jpg')"


def test_coco_among_the_images_and_as_one_file(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        picture(tmp_path / split / "a.jpg")
        picture(tmp_path / split / "none.jpg")
        coco(tmp_path / split / "_annotations.coco.json", "a.jpg", "none.jpg")
    (tmp_path / "train/._annotations.coco.json").write_text("x")
    assert [TASK.reference(row) for row in read(tmp_path)["validation"]] == [[CAT], []]
    assert set(read(tmp_path / "train")) == {"train"}
    coco(tmp_path / "cats.json", "a.jpg")
    picture(tmp_path / "images/a.jpg")
    assert read(tmp_path / "cats.json")["train"][0]["image"] == str(tmp_path / "images/a.jpg")


@pytest.mark.parametrize("name", ["result.json", "annotations/instances_default.json"])
def test_one_file_of_any_name(tmp_path: Path, name: str) -> None:
    coco(tmp_path / name, "a.jpg")
    picture(tmp_path / "images/a.jpg")
    (tmp_path / "package.json").write_text("{}")
    assert references(tmp_path) == [[CAT]]
    coco(tmp_path / "other.json", "a.jpg")
    with pytest.raises(DataError, match=r"several COCO files: .*other\.json.*; say which with data\.train"):
        TASK.read(Request(tmp_path))


# What tools write


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_matter(tmp_path: Path, encoding: str) -> None:
    picture(tmp_path / "a.jpg")
    for name in ("_annotations.coco.json", "cats.json"):
        file = coco(tmp_path / name, "a.jpg")
        file.write_text(file.read_text("utf-8"), encoding)
    assert references(tmp_path) == references(tmp_path / "cats.json") == [[CAT]]


@pytest.mark.parametrize(
    ("written", "real"),
    [
        (r"images\a.jpg", "images/a.jpg"),
        (r"C:\data\photos\a.jpg", "images/a.jpg"),
        ("/home/bob/photos/a.jpg", "a.jpg"),
        ("./a.jpg", "a.jpg"),
        ("../photos/a.jpg", "images/a.jpg"),
        ("A.JPG", "images/a.jpg"),
        ("my%20cat.jpg", "my cat.jpg"),
        ("100%25.jpg", "100%25.jpg"),
        ("photo[0].jpg", "images/photo[0].jpg"),
        ("https://host/upload/3/a.jpg", "images/a.jpg"),
        ("/data/local-files/?d=cats/a.jpg", "images/cats/a.jpg"),
        ("a.jpg", "images/deep/er/a.jpg"),
    ],
)
def test_names_of_other_machines(tmp_path: Path, written: str, real: str) -> None:
    picture(tmp_path / real)
    picture(tmp_path / "images/other.jpg")
    file = coco(tmp_path / "cats.json", written)
    assert read(file)["train"][0]["image"] == str(tmp_path / real)


def test_a_name_that_fits_two_pictures_is_not_guessed(tmp_path: Path) -> None:
    picture(tmp_path / "one/a.jpg")
    picture(tmp_path / "two/a.jpg")
    with pytest.raises(DataError, match=r"there is no 'C:\\a\.jpg' in "):
        TASK.read(Request(coco(tmp_path / "cats.json", r"C:\a.jpg")))


def test_ids_as_texts_and_numbers_are_the_same(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    found = references(coco(tmp_path / "cats.json", "a.jpg", annotations=[box(image="0", category_id="7")]))
    assert found == [[CAT]]
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": "1", "file_name": "b.jpg"}]
    with pytest.raises(DataError, match=r"images 'a\.jpg' and 'b\.jpg' have the same id 1"):
        TASK.read(Request(coco(tmp_path / "cats.json", images=images, annotations=[])))


def test_crowds_and_outlines(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    outline = box(2, bbox=[], segmentation=[[1, 2, 5, 2, 5, 6], [1, 8, 2, 8, 2, 7]])
    file = coco(tmp_path / "cats.json", "a.jpg", annotations=[box(1, bbox=[0, 0, 20, 10], iscrowd=1), outline])
    ((crowd, drawn),) = references(file)
    assert crowd["crowd"] is True
    assert drawn == CAT
    drawing = f"{file}: boxes made from the outline of a segmentation, which had no box: 1"
    assert read(file)["train"].notes == (drawing,)
    TASK.learn([[crowd], [drawn]])
    encoded = TASK.encode([crowd, drawn], {"size": torch.tensor([10, 20])})
    assert len(encoded["boxes"]) == 1


def test_what_is_found_in_a_crowd_is_neither_right_nor_wrong() -> None:
    crowd = {"label": "cat", "box": {"xmin": 10.0, "ymin": 0.0, "xmax": 20.0, "ymax": 10.0}, "crowd": True}
    inside = {"label": "cat", "box": {"xmin": 11.0, "ymin": 1.0, "xmax": 19.0, "ymax": 9.0}, "score": 0.9}
    right = {**CAT, "score": 0.5}
    assert TASK.score([[inside, right]], [[CAT, crowd]])["map"] == 1.0
    assert TASK.score([[inside, right]], [[CAT]])["map"] == pytest.approx(0.5)
    assert TASK.details([[inside, right]], [[CAT, crowd]]).per_class["cat"]["support"] == 1.0


# What cannot be


def test_boxes_that_cannot_be_used_are_named_one_by_one(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    bad = [
        box(2, bbox=[1, 2, 0, 4]),
        box(3, bbox=["1", 2, 3, 4]),
        box(4, bbox=None),
        box(5, bbox=[1, 2, float("nan"), 4]),
        box(6, category_id=9),
        box(7, bbox=[30, 2, 4, 4]),
    ]
    file = coco(tmp_path / "cats.json", "a.jpg", annotations=[box(), *bad])
    with pytest.raises(BadPartsError) as caught:
        references(file)
    assert caught.value.rest == [CAT]
    shown = "\n".join(caught.value.problems)
    for part in (
        "annotation 2 ('cat') has an empty bbox [1, 2, 0, 4]: width and height must be above 0",
        "annotation 3 ('cat') has no bbox of four numbers: ['1', 2, 3, 4]",
        "annotation 4 ('cat') has no bbox",
        "annotation 5 ('cat') has no bbox",
        "annotation 6 is of category 9, which the file has not",
        "annotation 7 ('cat') lies outside the image of 20x10 pixels: xmin=30",
    ):
        assert part in shown


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": [{"id": 0}]}, r"not in COCO's format: images\.0 \(id 0\) has no file_name"),
        ({"images": [{"file_name": "a.jpg"}]}, r"not in COCO's format: images\.0 has no id"),
        ({"images": {"a.jpg": 0}}, "images must be a list of objects"),
        ({"categories": [{"id": 7}]}, r"categories\.0 \(id 7\) has no name"),
        ({"categories": [{"id": 7, "name": "cat"}, {"id": "7", "name": "dog"}]}, "'cat' and 'dog' have the same id 7"),
        ({"annotations": [box(3), box(3)]}, "two annotations have the same id 3"),
        ({"annotations": [box(3, image=5)]}, "annotation 3 is about image 5, which the file has not"),
        (
            {"images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "./a.jpg"}], "annotations": []},
            r"image 1 \('a\.jpg'\) and .* image 2 \('\./a\.jpg'\) are both about",
        ),
        (
            {"annotations": [box(1, bbox=[0.1, 0.2, 0.5, 0.5]), box(2, bbox=[0, 0, 1, 1])]},
            "all 2 boxes lie between 0 and 1, so they are shares",
        ),
        (
            {"annotations": [box(number, bbox=[10 + number, 4, 18, 8]) for number in range(4)]},
            r"its boxes are corners \[left, top, right, bottom\]",
        ),
    ],
)
def test_a_file_that_contradicts_its_format(tmp_path: Path, changes: Any, message: str) -> None:
    picture(tmp_path / "a.jpg")
    file = coco(tmp_path / "cats.json", "a.jpg", **changes)
    with pytest.raises(DataError, match=message) as caught:
        TASK.read(Request(file))
    assert str(file) in str(caught.value)


def test_boxes_beyond_the_edge_are_not_taken_for_corners(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    boxes = [box(number, bbox=[10, 2, 12, 4]) for number in range(4)]
    boxes.append(box(9, bbox=[15, 1, 3, 4]))
    with noting() as notes:
        (found,) = references(coco(tmp_path / "cats.json", "a.jpg", annotations=boxes))
    assert [each["box"]["xmax"] for each in found] == [20.0] * 4 + [18.0]
    assert [count for what, count in notes.items() if what.startswith("boxes cut at the edge")] == [4]


def test_missing_pictures_are_counted_and_named(tmp_path: Path) -> None:
    file = coco(tmp_path / "cats.json", "a.jpg", "b.jpg")
    with pytest.raises(DataError, match=r"image 0 \('a\.jpg'\): there is no 'a\.jpg' in .*nor any other of its 2"):
        TASK.read(Request(file))
    picture(tmp_path / "a.jpg")
    here, gone = read(file)["train"]
    assert TASK.inputs(here)
    with pytest.raises(BadExampleError, match=r"there is no 'b\.jpg' in .*; 1 of 2 are missing"):
        TASK.inputs(gone)


def test_what_is_no_json_is_said_where_it_must_be_coco(tmp_path: Path) -> None:
    file = tmp_path / "_annotations.coco.json"
    for content in ("{", "[]", "[" * 100_000, '{"images": []}'):
        file.write_text(content)
        with pytest.raises(DataError, match=r"_annotations\.coco\.json (line 1 )?is not"):
            TASK.read(Request(tmp_path))


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_damaged_file_of_one_split_is_not_passed_over(tmp_path: Path, split: str) -> None:
    for name in ("train", "val"):
        picture(tmp_path / name / "a.jpg")
        coco(tmp_path / f"annotations/instances_{name}.json", "a.jpg")
    file = tmp_path / f"annotations/instances_{split}.json"
    file.write_text(file.read_text()[:-20])
    with pytest.raises(DataError, match=rf"instances_{split}\.json.*is not"):
        TASK.read(Request(tmp_path))


def test_keys_of_users_are_no_words_of_the_reader(tmp_path: Path) -> None:
    objects = [{"label": "cat", "bbox": [1, 2, 4, 6], "problem": "minor", "place": "garden"}]
    assert TASK.reference({"image": str(picture(tmp_path / "a.png")), "objects": objects}) == [CAT]


def test_crowds_are_not_counted_among_the_objects() -> None:
    assert TASK.label_counts([[CAT, {**CAT, "crowd": True}], []]) == {"cat": 1}


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    file = coco(tmp_path / "_annotations.coco.json", "a.jpg")
    text = file.read_text()
    file.write_text(text[: text.rindex("}")] + ', "annotations": []}')
    with pytest.raises(DataError, match=r"_annotations\.coco\.json.*the key 'annotations' is there twice"):
        TASK.read(Request(tmp_path))
