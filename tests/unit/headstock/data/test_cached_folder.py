"""What the cache holds is what was written, or is made anew."""

from __future__ import annotations

import io
import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from headstock.console import Console
from headstock.data.cache.cached_folder import CacheError, cached_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "kind" / "name"


def fill(beside: Path) -> None:
    (beside / "a.bin").write_bytes(bytes(range(200)))
    (beside / "b").mkdir()
    (beside / "b" / "c.json").write_text("[1, 2]")


def refuse(beside: Path) -> None:
    raise AssertionError(beside)


@contextmanager
def small_files(largest: int) -> Iterator[None]:
    """Let no file become larger than so many bytes: the nearest to a full disk that needs no disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_second_time_finds_it(folder: Path) -> None:
    assert cached_folder(folder, "things", fill) == folder
    assert cached_folder(folder, "things", refuse) == folder
    assert [path.name for path in folder.parent.iterdir()] == ["name"]


def test_each_damage_of_each_file_is_mended_and_said(folder: Path) -> None:
    cached_folder(folder, "things", fill)
    names = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    assert len(names) == 3
    for name in names:
        sound = (folder / name).read_bytes()
        flipped = [
            sound[:place] + bytes([sound[place] ^ bit]) + sound[place + 1 :]
            for place in (0, len(sound) // 2, len(sound) - 1)
            for bit in (1, 128)
        ]
        for damaged in [*flipped, sound[:-1], sound + b"\n", sound + b"\0" * 100, b"", None]:
            (folder / name).unlink()
            if damaged is not None:
                (folder / name).write_bytes(damaged)
            shown = io.StringIO()
            with Console(stream=shown).current():
                cached_folder(folder, "things", fill)
            (line,) = shown.getvalue().splitlines()
            assert line.startswith(f"things: {folder} in the cache cannot be used ({name}")
            assert line.endswith("so it is made anew")
            assert (folder / name).read_bytes() == sound


def test_what_fails_leaves_nothing(folder: Path) -> None:
    def fail(beside: Path) -> None:
        fill(beside)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        cached_folder(folder, "things", fail)
    assert not list(folder.parent.iterdir())


def test_a_full_disk_leaves_nothing_and_says_what_to_do(folder: Path) -> None:
    with small_files(100), pytest.raises(CacheError, match=r"cannot write .*: File too large; set HEADSTOCK_CACHE"):
        cached_folder(folder, "things", fill)
    assert not list(folder.parent.iterdir())


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(CacheError, match=r"cannot write .*taken.*: Not a directory; set HEADSTOCK_CACHE"):
        cached_folder(tmp_path / "taken" / "kind" / "name", "things", fill)


def test_what_a_killed_process_left_goes_when_it_is_old(folder: Path) -> None:
    old, new, other = (folder.parent / f".{name}.tmp" for name in (f"x.{'0' * 16}", f"y.{'1' * 16}", "not-one-of-ours"))
    for path in (old, new, other):
        path.mkdir(parents=True)
        (path / "part").write_bytes(b"1")
        if path is not new:
            for each in (path / "part", path):
                os.utime(each, (0, 0))
    cached_folder(folder, "things", fill)
    assert {path.name for path in folder.parent.iterdir()} == {"name", new.name, other.name}


def test_the_umask_decides_who_may_read(folder: Path) -> None:
    def fill_privately(beside: Path) -> None:
        fill(beside)
        (beside / "a.bin").chmod(0o600)

    before = os.umask(0o027)
    try:
        cached_folder(folder, "things", fill_privately)
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}
    assert modes == {0o640}
