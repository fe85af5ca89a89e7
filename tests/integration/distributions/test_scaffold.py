"""What ``headstock new`` writes installs, lints, type-checks, passes its tests and runs, beside Headstock's wheel."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

KINDS = ("task", "backbone", "adapter")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_complete(kind: str, environment: Any, tmp_path: Path) -> None:
    must = environment.must
    printed = must(f"headstock new {kind} made-up-{kind} --author 'Ada \"L\" Byron'", tmp_path)
    folder = tmp_path / f"headstock-made-up-{kind}"
    listed = {line for line in printed.splitlines() if line.startswith(folder.name)}
    written = {str(path.relative_to(tmp_path)) for path in folder.rglob("*") if path.is_file()}
    assert written == listed
    assert not [name for name in written if "{" in name or name.endswith(".jinja")]
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["authors"] == [{"name": 'Ada "L" Byron'}]

    must("pip install -e '.[dev]'", folder)
    must("ruff check .", folder)
    must("ruff format --check .", folder)
    must("mypy", folder)
    assert f"made-up-{kind}" in must(f"headstock show made-up-{kind}", folder)
    outcome = must("pytest -q -p no:cacheprovider", folder)
    assert re.search(r"\d+ passed", outcome)
    what = {"task": "made-up-task", "backbone": "text-classification backbone=made-up-backbone"}
    recipe = what.get(kind, "text-classification adapter=made-up-adapter")
    assert "accuracy" in must(f"headstock run {recipe} limit=40 epochs=1 --out out", folder)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Sound_Events", "cannot be the name of a task: .*; try 'sound-events'"),
        ("1st", "cannot be the name of a task"),
        ("a--b", "cannot be the name of a task"),
        ("text-classification", "there is a task 'text-classification' already, of headstock"),
        ("x" * 60, "30 characters at most"),
        ("text", "there is an installed package headstock_text already"),
    ],
)
def test_names_that_cannot_be(name: str, message: str, cli: Any, tmp_path: Path) -> None:
    done = cli("new", "task", name)
    assert done.returncode == 2
    assert re.search(message, done.stderr)
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "headstock-mine").mkdir()
    (tmp_path / "headstock-mine/notes.txt").write_text("keep")
    done = cli("new", "task", "mine")
    assert done.returncode == 2
    assert "exists already; nothing was written" in done.stderr
    assert [path.name for path in (tmp_path / "headstock-mine").iterdir()] == ["notes.txt"]


def test_a_folder_that_cannot_be_written(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = cli("new", "task", "mine", "--out", "file/inside")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "file" in done.stderr
