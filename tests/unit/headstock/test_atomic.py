import math
import threading
from pathlib import Path

import pytest

from headstock.atomic import WriteError, finite, new_directory, write_json, write_text


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


def test_what_is_there_can_be_kept(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    with new_directory(path, keep_existing=True) as slow:
        (slow / "slow").write_text("slow")
        with new_directory(path, keep_existing=True) as fast:
            (fast / "fast").write_text("fast")
    assert [file.name for file in path.iterdir()] == ["fast"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_in_the_way_stays_and_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.write_text("a file")
    for keep_existing in (False, True):
        with pytest.raises(WriteError, match="cannot write"), new_directory(path, keep_existing):
            pass
    assert path.read_text() == "a file"
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_folder_stays_when_the_new_one_cannot_be_put_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "folder"
    with new_directory(path) as beside:
        (beside / "old").write_text("old")
    original = Path.rename
    calls: list[Path] = []

    def failing(self: Path, target: Path) -> Path:
        calls.append(self)
        if len(calls) == 2:
            raise PermissionError(13, "Permission denied", str(self))
        return original(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(WriteError, match="Permission denied"), new_directory(path):
        pass
    assert [file.name for file in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_folder_has_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").mkdir()
    with new_directory(tmp_path / "new"):
        pass
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_threads_may_write_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    failures: list[Exception] = []

    def write(text: str) -> None:
        try:
            for _ in range(20):
                write_text(path, text)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(letter * 1000,)) for letter in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert path.read_text() in {"a" * 1000, "b" * 1000}


def test_figures_that_are_not_finite_become_null() -> None:
    value = {"a": math.nan, "b": [1.5, -math.inf, {"c": math.inf}], "d": "NaN", "e": 3, "f": None}
    assert finite(value) == {"a": None, "b": [1.5, None, {"c": None}], "d": "NaN", "e": 3, "f": None}


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match=r"cannot write .*file.*: Not a directory"):
        write_text(tmp_path / "file" / "a.txt", "x")
    with pytest.raises(WriteError, match=r"cannot write .*file.*: Not a directory"), new_directory(tmp_path / "file/a"):
        pass
