"""A run directory is locked, recognised, and its files are what was written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import headstock
from headstock import HeadstockError
from headstock.engine.run_directory import DirectoryLock, RunDirectory, check_directory, claim_directory
from headstock.recipe.read import resolve_recipe
from headstock.recipe.resolve import ResolvedRecipe
from headstock.trainer.state.checkpoints import CheckpointFolder
from headstock_registry import load_catalogue

OPTIONS = {"backbone": "textcnn", "data.limit": 60, "trainer.max_steps": 2, "trainer.device": "cpu"}


@pytest.fixture(scope="module")
def resolved() -> ResolvedRecipe:
    return resolve_recipe(load_catalogue(), "text-classification", OPTIONS)


@pytest.fixture
def claimed(tmp_path: Path, resolved: ResolvedRecipe) -> RunDirectory:
    directory = RunDirectory(tmp_path / "run")
    directory.path.mkdir()
    claim_directory(directory, resolved, {"train": "0"}, force=False)
    return directory


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return headstock.run("text-classification", OPTIONS, out=tmp_path_factory.mktemp("runs") / "run").path


def test_one_process_holds_it(tmp_path: Path) -> None:
    first, second = (DirectoryLock(RunDirectory(tmp_path / "run")) for _ in range(2))
    assert first.acquire()
    assert not second.acquire()
    first.release()
    assert not (tmp_path / "run").exists()
    assert second.acquire()
    second.release()


def test_what_a_killed_process_left_is_removed_and_nothing_else(claimed: RunDirectory) -> None:
    token = "0123456789abcdef"
    ours = [f".model.{token}.tmp", f".results.json.{token}.tmp", f"checkpoints/.step-00000004.{token}.tmp", ".base"]
    others = [".git", ".model.tmp", "notes.txt", "checkpoints/step-00000004", "model"]
    for name in [*ours, *others]:
        (claimed.path / name).mkdir(parents=True)
        (claimed.path / name / "file").write_text("")
    lock = DirectoryLock(claimed)
    assert lock.acquire()
    lock.release()
    assert not any((claimed.path / name).exists() for name in ours)
    assert all((claimed.path / name / "file").exists() for name in others)


def delete(path: Path) -> None:
    shutil.rmtree(path)


def move(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def replace(path: Path) -> None:
    shutil.copytree(path, path.with_name("copy"))
    shutil.rmtree(path)
    path.with_name("copy").rename(path)


def replace_by_a_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("mine")


@pytest.mark.parametrize("change", [delete, move, replace, replace_by_a_file])
def test_a_folder_that_goes_while_it_is_held_is_noticed(claimed: RunDirectory, change: Callable[[Path], None]) -> None:
    lock = DirectoryLock(claimed)
    assert lock.acquire()
    claimed.require_held()
    change(claimed.path)
    with pytest.raises(HeadstockError, match="was deleted, moved or replaced while the run was writing"):
        claimed.require_held()
    before = sorted(path.name for path in claimed.path.iterdir()) if claimed.path.is_dir() else None
    lock.release()
    assert before == (sorted(path.name for path in claimed.path.iterdir()) if claimed.path.is_dir() else None)


def test_a_link_to_where_it_was_moved_is_the_same_folder(claimed: RunDirectory) -> None:
    claimed.hold()
    move(claimed.path)
    claimed.path.symlink_to(claimed.path.with_name("elsewhere"))
    claimed.require_held()


def test_training_in_a_folder_that_is_gone_ends_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = CheckpointFolder.save

    def gone(self: CheckpointFolder, *arguments: object) -> None:
        shutil.rmtree(tmp_path / "run")
        original(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(CheckpointFolder, "save", gone)
    with pytest.raises(HeadstockError, match=r"run was deleted, moved or replaced"):
        headstock.run("text-classification", OPTIONS, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["recipe.yaml", "data.json", ".headstock-run"])
def test_each_damage_is_noticed_before_a_run_is_resumed(
    claimed: RunDirectory, resolved: ResolvedRecipe, name: str
) -> None:
    check_directory(claimed, resolved, resume=True, force=False)
    path = claimed.path / name
    sound = path.read_bytes()
    changes = [sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :] for place in range(0, len(sound), 41)]
    for content in [*changes, sound[:-1], sound + b"\n"]:
        path.write_bytes(content)
        with pytest.raises(HeadstockError, match=rf"{name} is not what was written"):
            check_directory(claimed, resolved, resume=True, force=False)
    check_directory(claimed, resolved, resume=False, force=True)


@pytest.mark.parametrize("name", ["recipe.yaml", "results.json"])
@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff\x00", b"{" * 9999, None])
def test_a_finished_run_with_a_damaged_file_is_refused_in_one_line(
    finished: Path, tmp_path: Path, name: str, content: bytes | None
) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    if content is None:
        content = (run / name).read_bytes().replace(b"2", b"3", 1)
    (run / name).write_bytes(content)
    with pytest.raises(HeadstockError, match=rf"{name} is not what was written") as raised:
        headstock.run("text-classification", OPTIONS, out=run, resume=True)
    assert "\n" not in str(raised.value)
    with pytest.raises(HeadstockError, match=rf"{name} is not what was written"):
        headstock.load(run)


@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff\x00", b"{" * 9999])
def test_a_run_from_elsewhere_has_no_digests_and_its_recipe_is_still_checked(
    finished: Path, tmp_path: Path, content: bytes
) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    (run / ".headstock-run").unlink()
    (run / "recipe.yaml").write_bytes(content)
    with pytest.raises(HeadstockError, match=r"recipe\.yaml") as raised:
        headstock.load(run)
    assert "\n" not in str(raised.value)


def test_the_umask_decides_who_may_read_a_run(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        path = headstock.run("text-classification", OPTIONS, out=tmp_path / "run").path
    finally:
        os.umask(before)
    modes = {file.stat().st_mode & 0o777 for file in path.rglob("*") if file.is_file() and file.name != ".lock"}
    assert modes == {0o644}
