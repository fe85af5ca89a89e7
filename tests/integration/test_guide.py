"""The author's guide, word for word: its files written, its commands run; and the other pages' code."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from headstock.cli.main import cli as headstock_command
from headstock.recipe.read import resolve_recipe
from headstock_registry import load_catalogue

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = DOCS / "author.md"
BLOCK = re.compile(r'```(\w+)(?: title="([^"]+)")?\n(.*?)```', re.DOTALL)
MOST_LINES = 80
QUICK_CHECKS = {
    "backbone.md": ("options-are-read", "backbone-features", "backbone-loads-what-it-saved", "numbers-neighbours"),
    "method.md": ("options-are-read", "method-takes-gradients-apart", "method-holds-in-pieces"),
    "adapter.md": ("options-are-read", "adapter-trains-what-it-says", "adapter-saves-all-it-added"),
}
"""Checks of the contract kit that take little time, for the components that the guides build."""


def blocks(page: Path) -> list[tuple[str, str, str]]:
    return BLOCK.findall(page.read_text("utf-8"))


@pytest.mark.slow
def test_the_guide_ends_in_a_wheel_that_works(environment: Any, new_environment: Any, tmp_path: Path) -> None:
    here = tmp_path
    printed: dict[str, str] = {}
    for language, title, content in blocks(GUIDE):
        if title:
            (here / title).write_text(content)
            continue
        assert language == "sh"
        for line in content.splitlines():
            if line.startswith("cd "):
                here = here / line.removeprefix("cd ")
                continue
            for command in line.split(" && "):
                # the one thing that needs a network: an environment of its own to build in
                offline = "python -m build --no-isolation" if command == "python -m build" else command
                printed[command] = environment.must(offline, here)
    assert "review-stars" in printed["headstock tasks"]
    assert "mae" in printed["headstock run review-stars --out stars"]
    (stars,) = re.findall(r'"stars": ([\d.]+)', next(text for key, text in printed.items() if "predict" in key))
    assert float(stars) > 3.5

    other = new_environment()
    (wheel,) = (here / "dist").glob("*.whl")
    other.must(f"pip install --no-deps {wheel}", tmp_path)
    assert "review-stars" in other.must("headstock tasks", tmp_path)
    other.must("headstock run review-stars epochs=1 --out trained", tmp_path)


@pytest.mark.slow
def test_the_quick_start(forked: Any, tmp_path: Path) -> None:
    rows = [("what a great film", "5"), ("what a terrible bore", "1"), ("rather fine acting", "5"), ("just awful", "1")]
    lines = [f"{text},{stars}" for text, stars in rows * 15]
    (tmp_path / "reviews.csv").write_text("\n".join(["review,stars", *lines]) + "\n")
    for language, _, content in blocks(DOCS / "index.md"):
        if language == "python":
            (tmp_path / "use.py").write_text(content)
            continue
        for command in content.replace("\\\n", " ").splitlines():
            program, *arguments = shlex.split(command)
            if program == "pip":
                continue
            if "backbone=transformers" in arguments:  # needs the Hub: only whether it is understood
                recipe = resolve_recipe(load_catalogue(), arguments[1], arguments[2:])
                assert recipe.adapter.entry.name == "lora"
                continue
            # tests of the README run the sample for as long as it takes
            shorter = ["epochs=1"] if arguments == ["run", "text-classification"] else []
            done = forked(tmp_path, *arguments, *shorter)
            assert done.returncode == 0, (command, done.stderr)
    env = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "use.py"], cwd=tmp_path, env=env, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    assert "label" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("page", QUICK_CHECKS)
def test_the_guide_to_another_component(
    page: str, fake_site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [(title, content) for _, title, content in blocks(DOCS / page) if title]
    package = Path(files[0][0]).parent.name
    fake_site.add(package.replace("_", "-"), "", value=package)
    (fake_site.folder / f"{package}.py").unlink()
    for title, content in files:
        (fake_site.folder / title).parent.mkdir(exist_ok=True)
        (fake_site.folder / title).write_text(content)
    monkeypatch.chdir(tmp_path)
    shell = [content for language, title, content in blocks(DOCS / page) if language == "sh" and not title]
    commands = [line for content in shell for line in content.splitlines()]
    assert [command.split()[1] for command in commands] == ["show", "run", "check"]
    commands[-1] += "".join(f" --only {check}" for check in QUICK_CHECKS[page])
    for command in commands:
        done = CliRunner().invoke(headstock_command, shlex.split(command)[1:])
        assert done.exit_code == 0, (command, done.output)
        assert "failed," not in done.output or " 0 failed," in done.output


def test_an_author_writes_few_lines() -> None:
    files = [content for language, title, content in blocks(GUIDE) if title]
    assert len(files) == 3
    assert sum(_lines_of_code(content) for content in files) < MOST_LINES


def _lines_of_code(source: str) -> int:
    """Count lines without imports, docstrings, comments and blank lines."""
    tree = ast.parse(source)
    left_out: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            left_out.update(range(node.lineno, (node.end_lineno or 0) + 1))
        body = getattr(node, "body", None)
        first = body[0] if isinstance(body, list) and body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            left_out.update(range(first.lineno, (first.end_lineno or 0) + 1))
    lines = enumerate(source.splitlines(), 1)
    return sum(
        number not in left_out and bool(line.strip()) and not line.strip().startswith("#") for number, line in lines
    )


def test_the_site_builds_strictly(tmp_path: Path) -> None:
    mkdocs = pytest.importorskip("mkdocs.commands.build")
    from mkdocs.config import load_config

    config = load_config(str(DOCS.parent / "mkdocs.yml"), site_dir=str(tmp_path / "site"), strict=True)
    mkdocs.build(config)
    page = (tmp_path / "site/checks/index.html").read_text()
    assert "numbers-loss-is-a-sum" in page
    assert "headstock run" in (tmp_path / "site/cli/index.html").read_text()
    assert "label_smoothing" in (tmp_path / "site/components/index.html").read_text()
