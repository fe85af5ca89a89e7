from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from headstock.interfaces import BadPartsError, DataError, Request
from headstock_vision.tasks.object_detection import ObjectDetection

CAT = {"label": "cat", "box": {"xmin": 1.0, "ymin": 2.0, "xmax": 5.0, "ymax": 8.0}}
TASK = ObjectDetection(ObjectDetection.Config())
EDGES = "<xmin>1</xmin><ymin>2</ymin><xmax>5</xmax><ymax>8</ymax>"


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 10)).save(path)
    return path


def thing(name: str = "cat", edges: str = EDGES) -> str:
    return f"<object><name>{name}</name><bndbox>{edges}</bndbox></object>"


def xml(path: Path, image: str, *objects: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(objects or [thing()])
    path.write_text(f"<annotation><filename>{image}</filename>{content}</annotation>", "utf-8")
    return path


def read(path: Path) -> Any:
    found = TASK.read(Request(path))
    assert found is not None
    return found


def references(path: Path) -> list[Any]:
    return [TASK.reference(row) for row in read(path)["train"]]


@pytest.mark.parametrize("lists", ["", "ImageSets/Main"])
@pytest.mark.parametrize("folders", ["Annotations JPEGImages", "annotations images", "xml imgs"])
def test_lists_of_splits(tmp_path: Path, lists: str, folders: str) -> None:
    annotations, images = folders.split()
    for name in ("a", "b 1", "c"):
        picture(tmp_path / images / f"{name}.jpg")
        xml(tmp_path / annotations / f"{name}.xml", f"{name}.jpg")
    (tmp_path / lists).mkdir(parents=True, exist_ok=True)
    (tmp_path / lists / "train.txt").write_bytes(b"\xef\xbb\xbfa\nb 1  1\n\n")
    (tmp_path / lists / "val.txt").write_text("images/c.jpg\n")
    found = read(tmp_path)
    assert {name: len(rows) for name, rows in found.items()} == {"train": 2, "validation": 1}
    assert found["validation"][0]["image"] == str(tmp_path / images / "c.jpg")
    assert TASK.reference(found["validation"][0]) == [CAT]
    assert found["validation"].where(0) == str(tmp_path / annotations / "c.xml")


def test_without_lists_and_with_folders_for_splits(tmp_path: Path) -> None:
    xml(tmp_path / "flat/Annotations/a.xml", "gone.jpg")
    (tmp_path / "flat/Annotations/._a.xml").write_text("x")
    picture(tmp_path / "flat/JPEGImages/a.png")
    assert read(tmp_path / "flat")["train"][0]["image"].endswith("a.png")
    for split, where in (("train", ""), ("test", "annotations/")):
        xml(tmp_path / "folders" / split / f"{where}a.xml", "a.jpg")
        picture(tmp_path / "folders" / split / ("images/a.jpg" if where else "a.jpg"))
    assert set(read(tmp_path / "folders")) == {"train", "test"}
    assert set(read(tmp_path / "folders/test")) == {"train"}


def test_images_in_folders_inside(tmp_path: Path) -> None:
    xml(tmp_path / "annotations/a.xml", "a.jpg")
    picture(tmp_path / "images/scratches/a.jpg")
    picture(tmp_path / "images/scratches/b.jpg")
    rows = read(tmp_path)["train"]
    assert rows[0]["image"] == str(tmp_path / "images/scratches/a.jpg")
    assert rows.notes == (f"{tmp_path}: images left out that no XML file describes: 1",)


def test_names_with_brackets_are_no_patterns(tmp_path: Path) -> None:
    for number in range(2):
        picture(tmp_path / f"photo[{number}].png")
        xml(tmp_path / f"photo[{number}].xml", "stale.jpg")
    picture(tmp_path / "photo0.png")
    assert [row["image"] for row in read(tmp_path)["train"]] == [
        str(tmp_path / f"photo[{number}].png") for number in range(2)
    ]


def test_a_file_that_was_renamed_is_not_taken_for_another(tmp_path: Path) -> None:
    for name in ("a", "b"):
        picture(tmp_path / f"{name}.jpg")
        xml(tmp_path / f"{name}.xml", "b.jpg")
    rows = read(tmp_path)["train"]
    assert [Path(row["image"]).name for row in rows] == ["a.jpg", "b.jpg"]
    assert len(rows.notes) == 1
    assert rows.notes[0].endswith("name another image than the one that is called like them, which was taken: 1")
    picture(tmp_path / "c.jpg")
    xml(tmp_path / "d.xml", "c.jpg")
    assert Path(read(tmp_path)["train"][2]["image"]).name == "c.jpg"
    xml(tmp_path / "e.xml", "c.jpg")
    with pytest.raises(DataError, match=r"d\.xml and .*e\.xml are both about .*c\.jpg"):
        TASK.read(Request(tmp_path))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb2312", "shift_jis"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    picture(tmp_path / "a.jpg")
    declared = encoding.removesuffix("-sig")
    text = f'<?xml version="1.0" encoding="{declared}"?>\n<annotation>{thing("日")}</annotation>'
    (tmp_path / "a.xml").write_text(text, encoding)
    assert references(tmp_path)[0][0]["label"] == "日"


def test_entities_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    bomb = '<!ENTITY a "aaaa"><!ENTITY g "&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    for entity in (bomb, '<!ENTITY g SYSTEM "file:///etc/passwd">'):
        (tmp_path / "a.xml").write_text(f"<!DOCTYPE x [{entity}]><annotation>{thing('&g;')}</annotation>")
        with pytest.raises(DataError, match=r"a\.xml declares entities, which are not read"):
            TASK.read(Request(tmp_path))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (thing(""), "object 2 has no name"),
        ("<object><name>cat</name></object>", r"object 2 \('cat'\) has no bndbox with numbers: xmin='', ymin=''"),
        (thing(edges=EDGES.replace("5", "5,5")), r"object 2 \('cat'\) has no bndbox with numbers: .*xmax='5,5'"),
        (thing(edges=EDGES.replace("5", "nan")), r"object 2 \('cat'\) has no box"),
        (thing(edges=EDGES.replace("5", "inf")), r"object 2 \('cat'\) has no box"),
        (thing(edges=EDGES.replace("5", "1")), r"object 2 \('cat'\) has an empty box: xmin=1, ymin=2, xmax=1, ymax=8"),
        (thing(edges=EDGES.replace("2", "12").replace("8", "18")), r"object 2 \('cat'\) lies outside the image of 20x"),
    ],
)
def test_one_bad_object_leaves_the_others(tmp_path: Path, bad: str, message: str) -> None:
    picture(tmp_path / "a.jpg")
    xml(tmp_path / "a.xml", "a.jpg", thing(), bad)
    with pytest.raises(BadPartsError, match=message) as caught:
        references(tmp_path)
    assert caught.value.rest == [CAT]
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<annotation>", "is not readable XML"),
        ("", "is not readable XML"),
        ('<?xml version="1.0" encoding="klingon"?><annotation/>', "is not readable XML"),
        ('<?xml version="1.0" encoding="gb2312"?><annotation>\udcff</annotation>', "is not readable XML"),
        ("<html/>", "is not in VOC's format: its outermost element is 'html'"),
    ],
)
def test_files_that_are_damaged(tmp_path: Path, content: str, message: str) -> None:
    picture(tmp_path / "a.jpg")
    (tmp_path / "a.xml").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=rf"a\.xml {message}"):
        TASK.read(Request(tmp_path))


def test_files_that_are_missing(tmp_path: Path) -> None:
    xml(tmp_path / "Annotations/a.xml", "a.jpg")
    with pytest.raises(DataError, match=r"a\.xml: there is no 'a\.jpg' in "):
        TASK.read(Request(tmp_path))
    (tmp_path / "train.txt").write_text("b\n")
    with pytest.raises(DataError, match=r"train\.txt lists 'b', but there is no .*Annotations/b\.xml"):
        TASK.read(Request(tmp_path))
