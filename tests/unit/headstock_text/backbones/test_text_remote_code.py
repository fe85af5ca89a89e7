"""Code that lies beside weights runs only when the caller of that one command says so."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import headstock
from headstock import HeadstockError, trusts_remote_code
from headstock.cli.main import cli as command
from headstock.interfaces.remote_code import trusting_remote_code
from headstock_text.backbones.transformer import TransformerText, TransformerTextConfig

CODE = """
from pathlib import Path

from transformers import BertConfig, BertModel

Path({marker!r}).touch()


class Config(BertConfig):
    model_type = "mine"


class Model(BertModel):
    config_class = Config
"""
SHORT = {"trainer.max_steps": 1, "data.limit": 16, "trainer.device": "cpu", "backbone": "transformers-text"}


@pytest.fixture(autouse=True)
def _own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "code-was-run"


def with_code(folder: Path, marker: Path) -> Path:
    """Give a model's folder code of its own, which leaves a mark when it is run."""
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config", "AutoModel": "mine.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text(CODE.format(marker=str(marker)))
    return folder


@pytest.fixture
def folder(tiny_encoder: Callable[[str], str], tmp_path: Path, marker: Path) -> Path:
    return with_code(Path(shutil.copytree(tiny_encoder("bert"), tmp_path / "encoder")), marker)


def test_a_run_and_its_model_need_the_consent_of_each_caller(folder: Path, tmp_path: Path, marker: Path) -> None:
    options = {**SHORT, "model": str(folder), "adapter": "linear-probe"}
    with pytest.raises(HeadstockError, match=r"Python code of its own.*--trust-remote-code"):
        headstock.run("text-classification", options, out=tmp_path / "run")
    assert not marker.exists()

    result = headstock.run("text-classification", options, out=tmp_path / "run", trust_remote_code=True)
    assert marker.exists()
    assert result.trust_remote_code
    assert "trust_remote_code" not in (result.path / "recipe.yaml").read_text()
    assert "--trust-remote-code" in (result.path / "README.md").read_text()
    assert json.loads((result.path / "environment.json").read_text())["trust_remote_code"]
    assert json.loads((result.path / "results.json").read_text())["trust_remote_code"]

    marker.unlink()
    shutil.rmtree(tmp_path / "modules")
    with pytest.raises(HeadstockError, match=r"Python code of its own.*--trust-remote-code"):
        headstock.load(result.path)
    refused = CliRunner().invoke(command, ["predict", str(result.path), "good"])
    assert isinstance(refused.exception, HeadstockError) or refused.exit_code == 2
    assert not marker.exists()
    assert len(headstock.load(result.path, trust_remote_code=True).predict(["good"])) == 1
    done = CliRunner().invoke(command, ["predict", str(result.path), "good", "--trust-remote-code"])
    assert done.exit_code == 0, done.output
    assert not trusts_remote_code()


def test_no_recipe_can_consent(folder: Path, tmp_path: Path, marker: Path) -> None:
    recipe = {"task": "text-classification", "backbone": {"name": "transformers-text", "model": str(folder)}}
    recipe["backbone"]["trust_remote_code"] = True  # type: ignore[index]
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    for given, overrides in (
        (tmp_path / "recipe.yaml", ()),
        (recipe, ()),
        ("text-classification", ["backbone=transformers", f"model={folder}", "trust_remote_code=true"]),
        ("text-classification", ["backbone=transformers", f"model={folder}", "backbone.trust_remote_code=true"]),
        ("text-classification", ["backbone=transformers", f"model={folder}", "backbone.x={trust_remote_code: 1}"]),
    ):
        with pytest.raises(HeadstockError, match=r"only who starts a command.*--trust-remote-code") as caught:
            headstock.run(given, overrides, out=tmp_path / "run")
        assert "\n" not in str(caught.value)
    assert not marker.exists()


def test_a_run_cannot_consent(tiny_encoder: Callable[[str], str], tmp_path: Path, marker: Path) -> None:
    options = {**SHORT, "model": tiny_encoder("bert")}
    run = headstock.run("text-classification", options, out=tmp_path / "run").path
    path = run / "model/model.json"
    saved: dict[str, Any] = json.loads(path.read_text())
    with_code(run / "model/backbone", marker)
    saved.pop("digest", None)
    saved.pop("files", None)
    for value, problem in ((True, "only who starts a command"), (False, "--trust-remote-code")):
        saved["backbone"]["options"]["trust_remote_code"] = value
        path.write_text(json.dumps(saved))
        with pytest.raises(HeadstockError, match=problem):
            headstock.load(run)
    assert not marker.exists()


def test_consent_holds_for_one_thread_and_one_block(folder: Path, marker: Path) -> None:
    seen: list[object] = []

    def elsewhere() -> None:
        seen.append(trusts_remote_code())
        try:
            TransformerText.create(TransformerTextConfig(model=str(folder)), [])
        except HeadstockError as error:
            seen.append(str(error))

    with trusting_remote_code(True):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        with trusting_remote_code(False):
            assert not trusts_remote_code()
        assert trusts_remote_code()
    assert seen[0] is False
    assert "--trust-remote-code" in str(seen[1])
    assert not marker.exists()
