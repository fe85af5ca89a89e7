from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from headstock import BadExampleError, read_bytes
from headstock.error_text import shown
from headstock.files import MissingFileError, ReadError, read_json, read_utf8, read_whole, user_path


def pipe(path: Path) -> None:
    os.mkfifo(path)


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def listening(path: Path) -> None:
    # the address of a socket has to be short, which a test's folder is not
    with tempfile.TemporaryDirectory() as short:
        server = socket.socket(socket.AF_UNIX)
        server.bind(f"{short}/s")
        server.close()
        os.rename(f"{short}/s", path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (pipe, "it is not a regular file"),
        (listening, "it is not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "it is not a regular file"),
        (Path.mkdir, "it is a folder"),
        (loop, "Too many levels of symbolic links"),
    ],
)
def test_only_regular_files_are_opened(tmp_path: Path, make: Callable[[Path], None], message: str) -> None:
    path = tmp_path / "input"
    make(path)
    for read in (read_whole, read_utf8, read_json):
        with pytest.raises(ReadError, match=f"^cannot read {path}: {message}$"):
            read(path)
    with pytest.raises(BadExampleError, match=message):
        read_bytes(str(path))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a\0b", r"cannot read a\\x00b: embedded null byte"),
        ("n" * 300, "File name too long"),
        ("/" + "n/" * 4000, "too long"),
    ],
)
def test_names_that_no_file_can_have(name: str, message: str) -> None:
    for read in (read_whole, user_path):
        with pytest.raises(ReadError, match=message) as caught:
            read(Path(name))
        assert len(str(caught.value)) < 500
        assert str(caught.value).isprintable()


def test_a_file_that_grows_without_end_is_not_read_whole(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as stream:
        stream.truncate(2**40)
    with pytest.raises(ReadError, match="more than 1,000 bytes"):
        read_whole(tmp_path / "sparse", 1000)


def test_a_missing_file_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"model\.json: No such file"):
        read_json(tmp_path / "model.json")


def test_text_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("fine", encoding="utf-8-sig")
    assert read_utf8(tmp_path / "text") == "fine"
    (tmp_path / "text").write_text("fine", encoding="utf-16")
    with pytest.raises(ReadError, match="is not UTF-8 text but UTF-16"):
        read_utf8(tmp_path / "text")


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("", "data.path: the path is empty"),
        ("  ", "data.path: the path is empty"),
        ("~nobody-of-that-name/a.csv", "data.path: cannot read ~nobody-of-that-name/a.csv: .*home"),
        ("a\0.csv", "data.path: cannot read"),
    ],
)
def test_a_path_that_cannot_be_names_its_option(written: str, message: str) -> None:
    with pytest.raises(ReadError, match=message):
        user_path(written, "data.path")


def test_a_folder_that_cannot_be_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "stat", denied)
    with pytest.raises(ReadError, match=r"cannot read closed/a\.csv: Permission denied"):
        user_path("closed/a.csv")
    with pytest.raises(ReadError, match=r"cannot read closed/a\.csv: Permission denied"):
        read_whole(Path("closed/a.csv"))


def test_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(number: int) -> object:
        raise KeyError(number)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    with pytest.raises(ReadError, match=r"cannot read ~/a\.csv: .*home"):
        user_path("~/a.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "model.json line 1 is not JSON: Expecting value, column 1"),
        ('{\n"a": 1,\n"b": tru}', "model.json line 3 is not JSON: .*, column 6"),
        ("[" * 100_000, "model.json is not JSON that can be read: nested too deeply"),
        ("1" * 5000, "model.json is not JSON that can be read: .*digits"),
        ('{"a": NaN}', "NaN is not a number"),
        ('{"a": -Infinity}', "-Infinity is not a number"),
        ('{"a": "\\ud800"}', "half of a surrogate pair"),
        ('{"\\udfff": 1}', "half of a surrogate pair"),
        ('{"a": 1,\n "x": ["a", {"b": 1,\n\n "b": 2}]}', "model.json line 4: the key 'b' is there twice"),
        ('{"a": ["a", ":", "{"],\n "b": {"a": 1},\n "\\u0061": 2}', "model.json line 3: the key 'a' is there twice"),
    ],
)
def test_what_is_no_json_is_said_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(ReadError, match=message) as caught:
        read_json(tmp_path / "model.json")
    assert str(caught.value).isprintable()


def test_json_reads_as_ever(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": [1, 2.5, null, "\\ud83d\\ude00"], "b": {"a": {}}}')
    assert read_json(tmp_path / "a.json") == {"a": [1, 2.5, None, "😀"], "b": {"a": {}}}


def test_values_are_shown_short_and_in_one_line() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert shown("a\x1b[31m\nb") == r"'a\x1b[31m\nb'"
    assert len(shown("x" * 10_000)) == 80
    assert shown(10**5000) == "a int too large to show"
    assert shown(deep) == "a list too large to show"
