"""What ``Task.read`` is asked: the same by a run, an evaluation and a prediction, each with its split and columns."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import headstock
from headstock import Request, TunedModel

PLUGIN = '''
from headstock import API_VERSION, Classification, Column, Entry, hookimpl

SEEN = []


class Lines(Classification):
    """Tells labels that stand before texts, apart by a colon."""

    modality = "text"
    default_backbone = "textcnn"
    formats = {"lines": (".lines",)}
    columns = (
        Column(name="text", role="input", summary="a text"),
        Column(name="label", role="target", stratify=True, summary="its class"),
    )

    def read(self, request):
        SEEN.append(request)
        if request.path.suffix != ".lines":
            return None
        rows = []
        for line in request.path.read_text().splitlines():
            label, colon, text = line.partition(":")
            rows.append({"text": text, "label": label} if colon and request.with_targets else {"text": line})
        return {request.split or "train": rows}

    def inputs(self, row):
        return {"text": row["text"]}

    def sample(self):
        return {}


@hookimpl
def headstock_entries():
    return [Entry(kind="task", name="lines", target="lines_plugin:Lines", summary="labelled lines", modality="text",
                  api_version=API_VERSION)]
'''
MAPPING = {"text": "body"}
LINES = [f"{'ab'[n % 2]}:text number {n}" for n in range(30)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("site")
    info = folder / "lines-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lines\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[headstock]\nlines = lines_plugin\n")
    (folder / "lines_plugin.py").write_text(PLUGIN)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder
    sys.modules.pop("lines_plugin", None)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lines")
    for split, count in (("train", 20), ("valid", 5), ("test", 5)):
        (folder / f"{split}.lines").write_text("\n".join(LINES[:count]))
    return folder


def asked(path: Path, split: str | None, with_targets: bool = True, **more: Any) -> Request:
    return Request(path, columns=MAPPING, split=split, with_targets=with_targets, **more)


def seen() -> list[Request]:
    requests: list[Request] = sys.modules["lines_plugin"].SEEN
    found = list(requests)
    requests.clear()
    return found


def settings(**data: Any) -> Mapping[str, Any]:
    options = {f"data.{name}": value for name, value in data.items()}
    return {"data.columns": MAPPING, "trainer.max_steps": 1, "device": "cpu", **options}


@pytest.fixture(scope="module")
def finished(site: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Request]]:
    out = tmp_path_factory.mktemp("run") / "run"
    return headstock.run("lines", settings(path=str(data)), out=out).path, seen()


@pytest.fixture
def model(finished: tuple[Path, list[Request]]) -> TunedModel:
    return headstock.load(finished[0])


def test_a_run_asks_of_the_folder_and_then_for_each_split(finished: tuple[Path, list[Request]], data: Path) -> None:
    assert finished[1] == [
        asked(data, None),
        asked(data / "train.lines", "train"),
        asked(data / "valid.lines", "validation"),
        asked(data / "test.lines", "test"),
    ]


def test_a_run_asks_of_the_files_that_are_named(site: Path, data: Path, tmp_path: Path) -> None:
    named = {split: str(data / f"{split}.lines") for split in ("train", "test")}
    headstock.run("lines", settings(format="lines", **named), out=tmp_path / "run")
    assert seen() == [
        asked(data / "train.lines", "train", format="lines"),
        asked(data / "test.lines", "test", format="lines"),
    ]


def test_an_evaluation_asks_for_the_test_split_with_the_runs_columns(model: TunedModel, data: Path) -> None:
    assert model.evaluate(data).examples == 5
    assert seen() == [asked(data, "test"), asked(data / "test.lines", "test")]
    model.evaluate({"path": str(data / "test.lines"), "columns": {"label": "kind"}})
    assert seen() == [Request(data / "test.lines", columns={**MAPPING, "label": "kind"}, split="test")]
    model.evaluate({"test": str(data / "valid.lines")})
    assert seen() == [asked(data / "valid.lines", "test")]


def test_a_prediction_asks_without_targets(model: TunedModel, data: Path) -> None:
    assert model.table(data / "test.lines")[0] == {"text": LINES[0]}
    assert seen() == [asked(data / "test.lines", "test", with_targets=False)]
    assert len(model.table({"path": str(data), "format": "lines"})) == 5
    assert seen() == [
        asked(data, "test", with_targets=False, format="lines"),
        asked(data / "test.lines", "test", with_targets=False, format="lines"),
    ]


def test_the_command_line_asks_too(
    finished: tuple[Path, list[Request]], site: Path, data: Path, forked: Any, tmp_path: Path
) -> None:
    run, path = str(finished[0]), str(data / "test.lines")
    for arguments in (["--data", path], [path, "columns.label=kind"]):
        result = forked(tmp_path, "predict", run, *arguments, pythonpath=[site])
        assert result.returncode == 0, result.stderr
        assert len([json.loads(line) for line in result.stdout.splitlines()]) == 5
    result = forked(tmp_path, "evaluate", run, "--data", path, "--json", pythonpath=[site])
    assert json.loads(result.stdout)["examples"] == 5
