from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import headstock
from headstock import HeadstockError
from headstock.data import DataConfig
from headstock.engine.models import model_files
from headstock.engine.models.model_files import load_model
from headstock_registry import load_catalogue


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved-model") / "run"
    overrides = {"backbone": "textcnn", "trainer.max_steps": 1, "data.limit": 16, "device": "cpu"}
    return headstock.run("text-classification", overrides, out=folder).path


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(model_files.sealed(content)))


def refused(run: Path) -> str:
    with pytest.raises(HeadstockError) as caught:
        headstock.load(run)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_options_that_the_installed_version_does_not_know(run: Path) -> None:
    def edit(content: dict[str, Any]) -> None:
        content["task"]["options"]["gone"] = 1
        content["task"]["version"] = "0.0.1"

    change(run / "model/model.json", edit)
    message = refused(run)
    installed = load_catalogue().get("task", "text-classification").source
    assert installed is not None
    assert f"made with {installed.distribution} 0.0.1" in message
    assert f"the installed {installed.distribution} {installed.version}" in message
    assert "unknown option 'task.gone'" in message


def test_a_damaged_state(run: Path) -> None:
    change(run / "model/model.json", lambda content: content.update(state={}))
    assert "model.json: the state does not fit" in refused(run)


@pytest.mark.parametrize("damage", ["missing", "cut", "other"])
def test_a_damaged_head(run: Path, damage: str) -> None:
    path = run / "model/head.safetensors"
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:20])
    else:
        save_file({name: value[:1].clone() for name, value in load_file(path).items()}, path)
    assert "head.safetensors" in refused(run)


@pytest.mark.parametrize("content", ["task: [", "trainer: {}", "task: x\ntrainer: {epochs: many}"])
def test_a_damaged_recipe(run: Path, content: str) -> None:
    (run / "recipe.yaml").write_text(content)
    assert "recipe.yaml is not what was written" in refused(run)


def test_a_run_without_results_is_not_finished_but_its_model_is_a_model(run: Path) -> None:
    (run / "results.json").unlink()
    assert refused(run) == f"{run} is not finished; resume with: headstock run {run} --resume"
    load_model(load_catalogue(), run / "model")
    shutil.rmtree(run)
    assert "holds no tuned model" in refused(run)


def test_columns_given_for_evaluation_are_added_to_those_of_the_run(run: Path, tmp_path: Path) -> None:
    model = headstock.load(run, device="cpu")
    labels = model.task.state()["labels"]
    model.data = DataConfig.model_validate({"columns": {"text": "review", "label": "stars"}})
    path = tmp_path / "other.csv"
    path.write_text(f"review,class\ngood,{labels[0]}\n,{labels[0]}\nbad,{labels[1]}\n")
    given = {"path": str(path), "columns": {"label": "class"}, "on_bad_example": "skip"}
    evaluation = model.evaluate(given)
    assert evaluation.examples == len(evaluation.predictions) == 2
    (skipped,) = evaluation.skipped
    assert "other.csv row 2" in skipped
    assert given["columns"] == {"label": "class"}


def test_the_digest_of_a_folder_follows_what_the_model_is_made_of(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"1")
    before = model_files._digest(tmp_path)
    (tmp_path / "README.md").write_text("changed")
    assert model_files._digest(tmp_path) == before
    (tmp_path / "model.safetensors").write_bytes(b"2")
    assert model_files._digest(tmp_path) != before
    assert model_files._digest(tmp_path / "config.json") is not None
    assert model_files._digest(tmp_path / "nothing") is None


def test_the_commit_of_a_model_from_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Body(nn.Module):
        config = SimpleNamespace(_commit_hash="told")

    class Wrapper(nn.Module):
        def get_base_model(self) -> nn.Module:
            return Body()

    def backbone(body: nn.Module, revision: str | None = None) -> Any:
        return SimpleNamespace(body=body, config=SimpleNamespace(revision=revision))

    asked: list[tuple[str, str | None]] = []

    def cached(source: str, name: str, revision: str | None) -> str:
        asked.append((source, revision))
        return str(tmp_path / "snapshots/abc" / name)

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", cached)
    assert model_files._commit(backbone(Body()), "org/model") == "told"
    assert model_files._commit(backbone(Wrapper()), "org/model") == "told"
    assert model_files._commit(backbone(nn.Identity(), "v1"), "org/model") == "abc"
    assert model_files._commit(backbone(nn.Identity()), str(tmp_path)) is None
    assert asked == [("org/model", "v1")]


def test_a_base_on_the_hub_comes_back_at_its_commit(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def edit(content: dict[str, Any]) -> None:
        content["source"], content["source_commit"] = "org/model", "abc"
        content["backbone"]["name"] = "transformers-text"
        content["backbone"]["options"] = {"model": "org/model", "revision": None}
        content["files"] = {name: digest for name, digest in content["files"].items() if "backbone/" not in name}

    change(run / "model/model.json", edit)
    shutil.rmtree(run / "model/backbone")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    seen: list[str | None] = []

    def load(name: str, revision: str | None, *rest: Any, **options: Any) -> Any:
        seen.append(revision)
        raise HeadstockError("no network here")

    monkeypatch.setattr("headstock_text.backbones.transformer.load_pretrained", load)
    assert refused(run) == "no network here"
    assert seen == ["abc"]


def test_torch_state_is_in_evaluation_mode_after_loading(run: Path) -> None:
    _, module = load_model(load_catalogue(), run / "model")
    assert not module.training
    assert not any(parameter.requires_grad for parameter in module.parameters())
    assert all(torch.isfinite(parameter).all() for parameter in module.parameters())
