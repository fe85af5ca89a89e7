from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from headstock import HeadstockError
from headstock.recipe.read import resolve_recipe
from headstock.recipe.resolve import ResolvedRecipe
from headstock.recipe.schema import recipe_schema
from headstock_registry import Catalogue, load_catalogue


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def resolved(catalogue: Catalogue, *overrides: str, recipe: Any = "text-classification") -> ResolvedRecipe:
    return resolve_recipe(catalogue, recipe, overrides)


def test_a_task_alone_is_a_whole_recipe(catalogue: Catalogue) -> None:
    recipe = resolved(catalogue)
    assert recipe.backbone.entry.name == recipe.task.cls.default_backbone
    assert recipe.adapter.entry.name == "full"
    assert recipe.data.path is None
    assert recipe.remarks == ()


def test_the_resolved_recipe_spells_out_everything_and_resolves_to_itself(catalogue: Catalogue, tmp_path: Path) -> None:
    first = resolved(catalogue, "trainer.epochs=7", "data.columns.text=review", "adapter=lora", "adapter.r=4", "seed=9")
    path = tmp_path / "recipe.yaml"
    path.write_text(first.to_yaml(), encoding="utf-8")
    second = resolve_recipe(catalogue, path)
    assert second.recipe == first.recipe
    content = yaml.safe_load(first.to_yaml())
    assert content["trainer"]["epochs"] == 7
    assert content["data"]["columns"] == {"text": "review"}
    assert content["adapter"]["r"] == 4
    assert content["seed"] == 9
    assert content["trainer"] == {"epochs": 7}  # the rest is chosen when the data is read


def test_short_forms_go_to_the_one_section_that_has_them(catalogue: Catalogue) -> None:
    recipe = resolved(catalogue, "epochs=5", "path=reviews.csv", "columns.text=review", "max_length=32")
    assert recipe.trainer.epochs == 5
    assert recipe.data.path == "reviews.csv"
    assert recipe.data.columns == {"text": "review"}
    assert recipe.backbone.config.max_length == 32


def test_a_backbone_name_may_be_shortened_when_one_fits(catalogue: Catalogue) -> None:
    recipe = resolved(catalogue, "backbone=transformers", "model=some/model")
    assert recipe.backbone.entry.name == "transformers-text"
    assert recipe.backbone.config.model == "some/model"


def test_values_stay_text_where_text_is_meant(catalogue: Catalogue) -> None:
    assert resolved(catalogue, "data.path=007").data.path == "007"
    assert resolved(catalogue, "trainer.learning_rate=1e-3").trainer.learning_rate == 1e-3
    assert resolved(catalogue, "trainer.patience=null").trainer.patience is None
    assert resolved(
        catalogue, "adapter=lora", "adapter.target_modules=[query, value]"
    ).adapter.config.target_modules == [
        "query",
        "value",
    ]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["trainer.epoch=3"], r"unknown option 'trainer.epoch'; did you mean epochs"),
        (["trainer.epochs=many"], r"'trainer.epochs': .*integer.*'many'"),
        (["trainer.epochs=0"], r"'trainer.epochs': .*greater than or equal to 1"),
        (["trainers.epochs=3"], r"'trainers.epochs'"),
        (["epoch=3"], r"unknown option 'epoch'; did you mean .*epochs"),
        (["backbone=textcnn", "dropout=0.3"], r"'dropout' is an option of several sections; write .*task.dropout"),
        (["epochs"], r"'epochs' is not an override; write section.key=value"),
        (["zzzz=3"], r"unknown option 'zzzz'; known: (\w+, ){7}\w+ and \d+ more$"),
        (["model=some/model"], r"option 'model' belongs to backbone .*transformers-text.*; choose with backbone=NAME$"),
        (["alpha=3"], r"^option 'alpha' belongs to adapter lora; choose with adapter=lora$"),
        (["adapter=lora", "target_modules=[q"], r"^the value of 'target_modules=\[q' is not YAML: expected"),
        (["backbone=textcn"], r"no backbone named 'textcn' is installed for text; did you mean textcnn"),
        (["backbone=smallcnn"], r"backbone 'smallcnn' is for image, the task needs text: .*textcnn"),
        (["adapter=lorra"], r"no adapter named 'lorra' is installed; did you mean lora"),
        (
            ["backbone=transformers"],
            r"'backbone.model' is required: Hub id \(such as .*\) or folder; usual for text",
        ),
        (
            ["backbone=transformers"],
            r"usual.*: distil.* \(English\), .* \(Chinese\), .*; .*backbone=use-multilingual",
        ),
        (["trainer.metric=accurracy"], r"no metric 'accurracy'; did you mean accuracy"),
        (["data.path=a.csv", "data.hub=b"], r"data.path and data.hub exclude each other"),
        (["seed=-1"], r"'seed'"),
        (["seed.x=1"], r"'seed' takes a value"),
        (["data=reviews.csv"], r"'data'"),
        (
            ["task.class_weights=balance"],
            "'task.class_weights': input should be 'none' or 'balanced' or a valid dictionary, got 'balance'",
        ),
        (["task.class_weights.a=-1"], "'task.class_weights.a': input should be greater than 0, got '-1'"),
    ],
)
def test_mistakes_get_one_line_that_says_what_is_right(
    catalogue: Catalogue, overrides: list[str], message: str
) -> None:
    with pytest.raises(HeadstockError, match=message) as caught:
        resolved(catalogue, *overrides)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("task: [1, 2]\n", r"'task' must be a mapping"),
        ("- 1\n", r"a recipe is a mapping"),
        ("trainer: {epochs: 1}\n", r"'task' is required"),
        ("task: text-classification\ntrainer: fast\n", r"trainer"),
        ("task: {name: text-classification\n", r"bad.yaml line 2 is not YAML: .*[',}]"),
        ("task: x\ntrainer:\n\tepochs: 1\n", r"bad.yaml line 3 is not YAML: found character '\\t' that cannot start"),
        ("task: x\0\n", r"bad.yaml is not YAML: .*character #x0000"),
        ("task: text-clasification\n", r"did you mean text-classification"),
        ("task: text-classification\noptimizer: {}\n", r"unknown option 'optimizer'"),
    ],
)
def test_a_bad_recipe_file_is_named(catalogue: Catalogue, tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(HeadstockError, match=message) as caught:
        resolve_recipe(catalogue, path)
    assert "\n" not in str(caught.value)


def test_a_file_given_alone_is_taken_for_data(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "reviews.csv").touch()
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("reviews.csv", "photos"):
        with pytest.raises(HeadstockError, match=f"'{name}' is not an override; to train on it write path={name}$"):
            resolved(catalogue, name)


def test_a_missing_recipe_file_is_named(catalogue: Catalogue, tmp_path: Path) -> None:
    with pytest.raises(HeadstockError, match=r"cannot read .*nowhere.yaml: No such file"):
        resolve_recipe(catalogue, tmp_path / "nowhere.yaml")


def test_choosing_another_component_drops_the_options_of_the_one_before(catalogue: Catalogue) -> None:
    content = {"task": "text-classification", "backbone": {"name": "transformers-text", "model": "m"}}
    assert resolve_recipe(catalogue, content, ["backbone=textcnn"]).backbone.entry.name == "textcnn"


def test_the_json_schema_accepts_recipes_and_rejects_unknown_keys(catalogue: Catalogue) -> None:
    content, left_out = recipe_schema(catalogue)
    assert left_out == []
    schema = json.loads(json.dumps(content))
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    good = {
        "task": {"name": "text-classification", "label_smoothing": 0.1},
        "backbone": {"name": "transformers-text", "model": "m"},
        "adapter": "lora",
        "data": {"path": "reviews.csv"},
        "trainer": {"epochs": 2},
    }
    assert validator.is_valid(good)
    assert not validator.is_valid({**good, "trainer": {"epoch": 2}})
    assert not validator.is_valid({**good, "adapter": {"name": "lora", "rank": 4}})
    assert not validator.is_valid({**good, "backbone": {"name": "transformers-text"}})


@pytest.fixture
def thief(fake_site: Any) -> Catalogue:
    """A third party that takes the name of a built-in task, of a built-in backbone and of one of its own."""
    fake_site.module(
        "stolen_parts",
        "from headstock_text.tasks.text_classification import TextClassification\n"
        "from headstock_text.backbones.textcnn import TextCnn\n"
        "class Task(TextClassification):\n    default_backbone = 'textcnn'\n"
        "class Backbone(TextCnn): pass\n",
    )
    entries = [
        {"name": "text-classification", "target": "stolen_parts:Task", "modality": "text"},
        {"kind": "backbone", "name": "textcnn", "target": "stolen_parts:Backbone", "modality": "text"},
        {"kind": "adapter", "name": "made-up", "target": "headstock_adapters.full:Full"},
    ]
    fake_site.add("thief", entries=entries)
    fake_site.add("other", entries=entries[2:])
    return load_catalogue()


def test_a_third_party_does_not_take_a_name_from_headstock(thief: Catalogue) -> None:
    recipe = resolved(thief).recipe
    assert (recipe.task.name, resolved(thief).task.cls.__module__.split(".")[0]) == (
        "text-classification",
        "headstock_text",
    )
    assert resolved(thief, "backbone=textcnn").backbone.cls.__module__.startswith("headstock_text")


def test_qualified_names_in_recipes_survive_in_the_resolved_recipe(thief: Catalogue, tmp_path: Path) -> None:
    found = resolved(thief, "adapter=thief:made-up", recipe={"task": "thief:text-classification"})
    assert found.task.cls.__module__ == "stolen_parts"
    assert found.backbone.cls.__module__ == "stolen_parts"  # a task's default is of its own distribution first
    (tmp_path / "recipe.yaml").write_text(found.to_yaml())
    again = resolve_recipe(thief, tmp_path / "recipe.yaml")
    assert again == found
    assert again.recipe.task.name == "thief:text-classification"
    same = resolved(thief, "backbone=headstock:textcnn", recipe="headstock:text-classification")
    assert (same.recipe.task.name, same.recipe.backbone.name) == ("text-classification", "textcnn")


def test_a_name_that_two_third_parties_claim_has_to_be_qualified(thief: Catalogue) -> None:
    with pytest.raises(HeadstockError, match=r"name it other:made-up or thief:made-up$"):
        resolved(thief, "adapter=made-up")


def test_a_shortened_backbone_name_never_stands_for_one_that_is_left_out(fake_site: Any) -> None:
    backbone = {"kind": "backbone", "name": "made-up-net", "modality": "text", "target": "a:B"}
    fake_site.add("newer", entries=[{**backbone, "name": "made-up", "api_version": 9}, backbone])
    with pytest.raises(HeadstockError, match="no backbone named 'made-up' is installed for text: it is brought by"):
        resolved(load_catalogue(), "backbone=made-up")
