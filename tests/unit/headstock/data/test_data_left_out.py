from __future__ import annotations

from pathlib import Path

import pytest

from headstock.data import DataConfig, load_table
from headstock.data.folders.system_files import is_system_file
from headstock.interfaces import Column, DataError

Columns = tuple[Column, ...]
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


def put(*paths: str, content: bytes = b"x") -> None:
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@pytest.mark.parametrize(
    "name",
    [
        *("@eaDir", "__MACOSX", ".DS_Store", "Thumbs.db", "._photo.jpg", "desktop.ini", ".ipynb_checkpoints"),
        *("#recycle", "@Recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found"),
    ],
)
def test_what_systems_leave_is_known(name: str, pictures: Columns) -> None:
    assert is_system_file(name)
    put("pets/cats/a.png", "pets/dogs/b.png")
    if "." in name and not name.startswith((".ipynb", "$")):
        put(f"pets/{name}", f"pets/cats/{name}")
    else:
        put(f"pets/{name}/cats/c.png", f"pets/cats/{name}/d.png")
    table = load_table(Path("pets"), DataConfig(), pictures)
    assert list(table.values("picture")) == ["pets/cats/a.png", "pets/dogs/b.png"]
    assert table.notes == (f"pets: left out 2 hidden or system files or folders: {name} (2)",)


@pytest.mark.parametrize("name", ["eadir", "recycled", "macosx", "thumbs", "a@tmp", "icon", "images"])
def test_what_people_call_their_classes_is_not(name: str) -> None:
    assert not is_system_file(name)


def test_files_of_other_kinds_are_counted_and_named(pictures: Columns) -> None:
    put("pets/cats/a.png", "pets/dogs/b.JPG", "pets/cats/c.heic", "pets/cats/d.HEIC", "pets/dogs/more/e.m4a")
    put("pets/README", "pets/dogs/LICENSE", "pets/list.csv")
    table = load_table(Path("pets"), DataConfig(), pictures)
    assert len(table) == 2
    (note,) = table.notes
    assert note == "pets: left out 6 files of kinds that are not read: 2 without an ending, 2 .heic, 1 .csv, 1 .m4a"
    assert table.select([0]).notes == table.notes
    assert load_table(Path("pets/cats"), DataConfig(), pictures, need_targets=False).notes == (
        "pets/cats: left out 2 files of kinds that are not read: 2 .heic",
    )


def test_a_file_without_an_ending_is_what_its_content_says(pictures: Columns) -> None:
    put("pets/cats/a", "pets/dogs/b", content=PNG)
    put("pets/dogs/c", content=b"text")
    table = load_table(Path("pets"), DataConfig(), pictures)
    assert list(table.values("picture")) == ["pets/cats/a", "pets/dogs/b"]
    assert table.notes == ("pets: left out 1 file of kinds that are not read: 1 without an ending",)


def test_a_class_of_other_kinds_alone_says_what_it_holds(pictures: Columns) -> None:
    put("pets/cats/a.png", "pets/dogs/b.heic", "pets/dogs/c.heic")
    with pytest.raises(DataError, match=r"^pets/dogs holds no file that ends in \.png, \.jpg; it holds 2 \.heic$"):
        load_table(Path("pets"), DataConfig(), pictures)
