"""Every command and code block of the README does what it says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result
from PIL import Image
from torch.distributed.run import get_args_parser

from headstock.cli.main import cli as command
from headstock.recipe.read import resolve_recipe
from headstock_registry import load_catalogue

README = Path(__file__).parents[2] / "README.md"
BLOCKS = re.findall(r"(?:<!-- ([\w:\- ]+) -->\n)?```(\w+)\n(.*?)```", README.read_text("utf-8"), re.DOTALL)


def block(mark: str) -> str:
    (found,) = [content for name, _, content in BLOCKS if name == mark]
    return str(found)


def commands(content: str) -> list[list[str]]:
    return [shlex.split(line)[1:] for line in content.splitlines() if line.startswith("headstock ")]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(arguments: list[str]) -> Result:
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, (arguments, result.output)
    return result


def write_reviews(path: Path, text: str, label: str) -> None:
    rows = [("what a great film", "5"), ("what a terrible bore", "1"), ("rather fine acting", "5"), ("just awful", "1")]
    path.write_text("\n".join([f"{text},{label}", *(f"{words},{stars}" for words, stars in rows * 15)]) + "\n")


def test_every_block_is_known_here() -> None:
    marks = {name for name, language, _ in BLOCKS if name}
    assert marks == {
        "run-command",
        "test-command",
        "example: output",
        "example: own-text",
        "example: own-images",
        "example: own-speech",
        "example: own-entities",
        "example: own-pairs",
        "example: own-boxes",
        "example: use",
        "example: python",
        "example: plugin",
        "example: author",
        "needs: network",
        "needs: GPUs",
    }
    unmarked = [content for name, language, content in BLOCKS if not name and language in {"sh", "python"}]
    assert unmarked == [listing()]


@pytest.mark.slow
def test_new_and_check(here: Path) -> None:
    new, check = commands(block("example: author"))
    assert "headstock-my-task/pyproject.toml" in invoke(new).stdout
    assert " 0 failed" in invoke(check).stdout


def listing() -> str:
    (found,) = [content for name, language, content in BLOCKS if not name and content.startswith("headstock tasks")]
    return str(found)


def test_what_is_installed() -> None:
    for arguments in commands(listing()):
        assert invoke(arguments).stdout


def test_own_text(here: Path) -> None:
    write_reviews(here / "reviews.csv", "review", "stars")
    (arguments,) = commands(block("example: own-text"))
    assert "accuracy" in invoke(arguments).stdout


def test_own_images(here: Path) -> None:
    for number in range(30):
        folder = here / "photos" / ("dark", "light")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 100, (24, 24, 3)) + (0, 150)[number % 2]
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.jpg")
    (arguments,) = commands(block("example: own-images"))
    assert "accuracy" in invoke(arguments).stdout


def test_own_speech(here: Path) -> None:
    lines = ["file,transcript"]
    for number in range(20):
        seconds = np.arange(4000) / 8000
        soundfile.write(here / f"{number}.wav", np.sin(seconds * (2000, 6000)[number % 2]) * 0.3, 8000)
        lines.append(f"{number}.wav,{('low', 'high')[number % 2]}")
    (here / "recordings.csv").write_text("\n".join(lines) + "\n")
    (arguments,) = commands(block("example: own-speech"))
    assert "wer" in invoke(arguments).stdout


def test_own_entities(here: Path) -> None:
    sentences = ["Ada\tB-PER\nsings\tO\nhere\tO\n", "in\tO\nOslo\tB-LOC\nit\tO\nrains\tO\n"] * 15
    (here / "entities.conll").write_text("\n".join(sentences))
    (arguments,) = commands(block("example: own-entities"))
    assert "f1" in invoke(arguments).stdout


def test_own_pairs(here: Path) -> None:
    words = [("one", "eins"), ("two", "zwei"), ("three", "drei"), ("four", "vier")]
    pairs = [(first, second) for first in words for second in words for _ in range(2)]
    lines = [f"{one[0]} and {other[0]},{one[1]} und {other[1]}" for one, other in pairs]
    (here / "pairs.csv").write_text("\n".join(["en,de", *lines]) + "\n")
    (arguments,) = commands(block("example: own-pairs"))
    assert "bleu" in invoke([*arguments, "trainer.epochs=1"]).stdout


def test_own_boxes(here: Path) -> None:
    for number in range(20):
        (here / "cells").mkdir(exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 100, (40, 60, 3))
        pixels[10:30, 5:25] += 150
        Image.fromarray(pixels.astype(np.uint8)).save(here / f"cells/{number}.png")
        box = "<bndbox><xmin>5</xmin><ymin>10</ymin><xmax>25</xmax><ymax>30</ymax></bndbox>"
        (here / f"cells/{number}.xml").write_text(
            f"<annotation><filename>{number}.png</filename><object><name>cell</name>{box}</object></annotation>"
        )
    (arguments,) = commands(block("example: own-boxes"))
    assert "map_50" in invoke([*arguments, "trainer.epochs=2"]).stdout
    assert '"label": "cell"' in (here / "runs/object-detection/predictions.jsonl").read_text()


@pytest.mark.slow
def test_using_the_result(here: Path) -> None:
    assert "headstock run text-classification" in block("run-command")
    printed = table(invoke(["run", "text-classification"]).stdout)
    for name, said in table(block("example: output")).items():
        assert printed[name] == pytest.approx(said, abs=0.08), name
    assert printed["accuracy"][2] > 0.8
    invoke(["predict", "runs/text-classification", "x"])
    label = load_label(here)
    (here / "more_reviews.csv").write_text(f"text,label\nReturn the time,{label}\nOpen a file,{label}\n")
    for arguments in commands(block("example: use")):
        assert invoke(arguments).stdout


def table(text: str) -> dict[str, list[float]]:
    """Return the lines of a table of metrics: baseline, before, after, change."""
    lines = re.findall(r"^(\w+) +(\d\S+)  (\S+)  (\S+)  (\S+)$", text, re.MULTILINE)
    return {name: [float(figure) for figure in figures] for name, *figures in lines}


def load_label(here: Path) -> str:
    import json

    line = (here / "runs/text-classification/predictions.jsonl").read_text().splitlines()[0]
    return str(json.loads(line)["reference"])


def test_the_python_example(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_reviews(here / "reviews.csv", "review", "stars")
    exec(compile(block("example: python"), "README.md", "exec"), {})
    assert "runs/text-classification" in capsys.readouterr().out


def test_the_plugin_example(here: Path, fake_site: Any) -> None:
    fake_site.add("shouting", source=block("example: plugin"))
    assert "shouting" in invoke(["tasks"]).stdout
    assert "accuracy" in invoke(["run", "shouting", "--quiet"]).stdout


def test_the_recipe_example_resolves(here: Path) -> None:
    (recipe,) = [content for name, language, content in BLOCKS if language == "yaml"]
    (here / "recipe.yaml").write_text(recipe)
    assert resolve_recipe(load_catalogue(), "recipe.yaml").adapter.config.r == 16


def test_commands_that_need_the_network_name_things_that_exist() -> None:
    blocks = [content for name, _, content in BLOCKS if name == "needs: network"]
    found = [arguments for content in blocks for arguments in commands(content)]
    assert len(found) >= 5
    for verb, target, *overrides in found:
        assert verb == "run"
        resolve_recipe(load_catalogue(), target, overrides)


def test_commands_for_several_gpus_start_a_run_that_exists() -> None:
    found = [line for name, _, content in BLOCKS if name == "needs: GPUs" for line in content.splitlines()]
    assert len(found) == 2
    for line in found:
        launcher, started = line.split(" -m headstock run ")
        options = get_args_parser().parse_args([*shlex.split(launcher)[1:], "program"])
        assert options.nproc_per_node == "8"
        target, *overrides = shlex.split(started)
        resolve_recipe(load_catalogue(), target, overrides)
