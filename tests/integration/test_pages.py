"""Pages that say what the code does: the messages are there, the tensors are as they are said to be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from headstock.console import Console
from headstock.engine.setup import prepare_data
from headstock.recipe.read import resolve_recipe
from headstock_registry import load_catalogue

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TYPES = {"torch.int64": "int64", "torch.int32": "int32", "torch.int16": "int16", "torch.uint8": "uint8"}


def test_every_message_in_troubleshooting_is_one_that_can_come() -> None:
    code = "\n".join(
        path.read_text("utf-8")
        for folder in ("core", "registry", "plugins")
        for path in sorted((ROOT / folder).rglob("*.py"))
    )
    code = re.sub(r'"\s*\n\s*f?"', "", code)  # texts that continue in the next line
    messages = re.findall(r"^`([^`]+)`\n:   ", (DOCS / "troubleshooting.md").read_text("utf-8"), re.MULTILINE)
    assert len(messages) > 15
    for message in messages:
        for part in re.split(r"'x'|'[^']*'", message):
            assert part.strip() in code, message


def rows(page: str, heading: str) -> dict[str, tuple[str, str]]:
    """Return shape and type of each tensor in the table below a heading."""
    section = re.split(r"^## ", (DOCS / page).read_text("utf-8"), flags=re.MULTILINE)
    (found,) = [each for each in section if each.startswith(f"{heading}\n")]
    table = re.findall(r"^\| `(\w+)` \| \(([^)]*)\) \| (\w+) \|", found, re.MULTILINE)
    return {name: (shape, kind) for name, shape, kind in table}


@pytest.mark.parametrize(
    ("page", "task"),
    [
        ("text.md", "token-classification"),
        ("images.md", "image-classification"),
        ("images.md", "object-detection"),
        ("speech.md", "audio-classification"),
    ],
)
def test_tensors_are_what_the_page_of_the_modality_says(page: str, task: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HEADSTOCK_CACHE", str(tmp_path))
    data = prepare_data(resolve_recipe(load_catalogue(), task, ["data.limit=12"]), Console(quiet=True))
    split = data.splits["train"]
    batch = split.batch([0, 1, 2], data.backbone, data.task)
    for heading, tensors in (("Example tensors", split.store[0]), ("Batch inputs", batch.inputs)):
        said = rows(page, heading)
        assert said
        optional = {"size"} if task == "image-classification" else set()
        assert set(said) - optional <= set(tensors)
        for name in set(said) & set(tensors):
            shape, kind = said[name]
            assert len([part for part in shape.split(",") if part.strip()]) == tensors[name].ndim, name
            assert TYPES[str(tensors[name].dtype)] == kind, (heading, name)
