from pathlib import Path

import pytest

from headstock.atomic import WriteError, new_directory, write_json, write_text


def test_text_replaces_text_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "one")
    write_text(path, "two")
    assert path.read_text() == "two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_value_that_is_not_json_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert path.read_text() == '{\n  "a": 1\n}\n'
    assert list(tmp_path.iterdir()) == [path]


def fill_and_fail(path: Path) -> None:
    with new_directory(path) as beside:
        (beside / "new").write_text("new")
        raise RuntimeError


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    with new_directory(path) as beside:
        (beside / "old").write_text("old")
        assert not path.exists()
    with pytest.raises(RuntimeError):
        fill_and_fail(path)
    assert [file.name for file in path.iterdir()] == ["old"]
    with new_directory(path) as beside:
        (beside / "new").write_text("new")
    assert [file.name for file in path.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match=r"cannot write .*file.*: Not a directory"):
        write_text(tmp_path / "file" / "a.txt", "x")
    with pytest.raises(WriteError, match=r"cannot write .*file.*: Not a directory"), new_directory(tmp_path / "file/a"):
        pass
