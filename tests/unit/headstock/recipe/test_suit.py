"""The backbone of a recipe that names none is the first of the task's that suits the data."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import yaml

import headstock
from headstock import HeadstockError
from headstock.recipe.read import resolve_recipe
from headstock.recipe.settle import suit
from headstock_registry import load_catalogue
from headstock_text.backbones.minilm import MiniLm
from headstock_text.backbones.textcnn import TextCnn
from headstock_text.backbones.use.multilingual import UseMultilingual

CATALOGUE = load_catalogue()
GERMAN = [{"text": "Das Frühstück war kalt und die Zimmer waren klein."}]
ENGLISH = [{"text": "Breakfast was cold and the rooms were small."}]
REMARK = "backbone use-multilingual in place of the default minilm: it is for English, and its vocabulary has "


@pytest.fixture(autouse=True)
def _weights_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    if MiniLm.unavailable() is not None or UseMultilingual.unavailable() is not None:
        pytest.skip("the packages with pretrained weights are not installed")


def test_the_default_stays_where_it_suits() -> None:
    resolved = resolve_recipe(CATALOGUE, "text-classification")
    found, lines = suit(resolved, ENGLISH)
    assert lines == []
    assert (found.backbone.entry.name, found.recipe, found.remarks) == ("minilm", resolved.recipe, ())


def test_the_next_one_is_taken_with_the_options_that_were_given() -> None:
    found, _ = suit(resolve_recipe(CATALOGUE, "text-classification", ["max_length=99"]), GERMAN)
    assert found.recipe.backbone is not None
    assert (found.recipe.backbone.name, found.backbone.cls) == ("use-multilingual", UseMultilingual)
    assert found.backbone.config.max_length == 99
    assert found.remarks[0].startswith(REMARK)
    again = resolve_recipe(CATALOGUE, yaml.safe_load(found.to_yaml()))
    assert (again.recipe, again.alternatives) == (found.recipe, ())


def test_all_that_do_not_suit_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UseMultilingual, "unsuitable", classmethod(lambda cls, inputs: "it is made up"))
    found, _ = suit(resolve_recipe(CATALOGUE, "text-classification"), GERMAN)
    assert found.backbone.entry.name == "textcnn"
    assert found.remarks[0].endswith("; of use-multilingual: it is made up")

    monkeypatch.setattr(TextCnn, "unsuitable", classmethod(lambda cls, inputs: "nor is it"))
    found, lines = suit(resolve_recipe(CATALOGUE, "text-classification"), GERMAN)
    assert found.backbone.entry.name == "minilm"
    assert [line.split(":")[0] for line in lines] == ["backbone minilm"]


@pytest.mark.parametrize("override", ["backbone=minilm", "pooling=cls"])  # no other default has that option
def test_one_that_is_meant_is_kept_and_the_user_told(override: str) -> None:
    found, lines = suit(resolve_recipe(CATALOGUE, "text-classification", [override]), GERMAN)
    assert (found.backbone.entry.name, found.remarks) == ("minilm", ())
    assert [line.split(",")[0] for line in lines] == ["backbone minilm: it is for English"]


def test_a_run_says_it_and_can_be_resumed_by_the_same_command(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        writer.writerows([f"{GERMAN[0]['text']} Nummer {number}", str(number % 2)] for number in range(40))
    options = [f"path={path}", "max_steps=1", "device=cpu"]
    result = headstock.run("text-classification", options, out=tmp_path / "run")
    assert result.backbone == "use-multilingual"
    (remark,) = result.recipe_remarks
    assert remark.startswith("backbone use-multilingual in place of the default minilm: it is for English")
    assert yaml.safe_load((tmp_path / "run/recipe.yaml").read_text())["backbone"]["name"] == "use-multilingual"

    (tmp_path / "run/results.json").unlink()
    resumed = headstock.run("text-classification", options, out=tmp_path / "run", resume=True)
    assert (resumed.backbone, resumed.recipe_remarks) == ("use-multilingual", [remark])
    assert json.loads((tmp_path / "run/results.json").read_text())["recipe_remarks"] == [remark]
    with pytest.raises(HeadstockError, match=r"backbone.name was 'use-multilingual', is 'minilm'"):
        headstock.run("text-classification", [*options, "backbone=minilm"], out=tmp_path / "run", resume=True)
