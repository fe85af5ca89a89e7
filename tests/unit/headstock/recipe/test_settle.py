"""What a recipe leaves open of the trainer is chosen by its components, once the data is read."""

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from headstock import HeadstockError
from headstock.recipe.read import resolve_recipe
from headstock.recipe.resolve import ResolvedRecipe
from headstock.recipe.settle import settle
from headstock_registry import load_catalogue

CATALOGUE = load_catalogue()


def settled(*overrides: str, examples: int = 1000, recipe: Any = "text-classification") -> ResolvedRecipe:
    return settle(resolve_recipe(CATALOGUE, recipe, overrides), examples, True, 20_000_000)


def test_a_settled_recipe_spells_out_every_setting_and_stays_as_it_is() -> None:
    first = settled("trainer.epochs=7", "adapter=lora")
    content = yaml.safe_load(first.to_yaml())
    assert content["trainer"]["max_grad_norm"] == 1.0
    again = settled(recipe=content, examples=17)
    assert again.recipe == first.recipe
    assert again.chosen == ()


def test_adapter_beats_backbone_beats_task() -> None:
    models = ("backbone=transformers", "model=m")
    rates = {
        settled(*more).trainer.learning_rate for more in (models, ("backbone=textcnn",), (*models, "adapter=lora"))
    }
    assert len(rates) == 3
    assert settled(*models, "adapter=lora", "learning_rate=0.123").trainer.learning_rate == 0.123


def with_defaults(resolved: ResolvedRecipe, monkeypatch: pytest.MonkeyPatch, defaults: Any) -> None:
    monkeypatch.setattr(resolved.backbone.cls, "trainer_defaults", classmethod(defaults))


def test_what_is_known_before_training_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved = resolve_recipe(CATALOGUE, "text-classification", ["backbone=textcnn", "adapter=bitfit", "batch_size=4"])
    told = []

    def defaults(cls: Any, config: Any, facts: Any) -> Mapping[str, Any]:
        told.append(facts)
        return {"epochs": facts.examples // 10, "batch_size": 64}

    with_defaults(resolved, monkeypatch, defaults)
    found = settle(resolved, 120, False, 1234)
    (facts,) = told
    assert (facts.task, facts.backbone, facts.adapter) == ("text-classification", "textcnn", "bitfit")
    assert (facts.examples, facts.pretrained, facts.parameters) == (120, False, 1234)
    assert facts.given == {"batch_size": 4}
    assert (found.trainer.epochs, found.trainer.batch_size) == (12, 4)
    chose = "backbone textcnn (from scratch, 1,234 parameters)"
    assert f"chosen for 120 training examples by {chose}: epochs 12" in found.chosen
    assert found.to_yaml().startswith("# chosen for 120 training examples by ")


@pytest.mark.parametrize(
    ("defaults", "message"),
    [
        ({"epoch": 3}, "unknown option 'backbone textcnn.epoch'; did you mean 'epochs'?"),
        ({"epochs": 0}, "'backbone textcnn.epochs': input should be greater than or equal to 1 (got 0)"),
    ],
)
def test_a_component_that_chooses_wrongly_is_named(
    monkeypatch: pytest.MonkeyPatch, defaults: dict[str, Any], message: str
) -> None:
    resolved = resolve_recipe(CATALOGUE, "text-classification", ["backbone=textcnn"])
    with_defaults(resolved, monkeypatch, lambda cls, config, facts: defaults)
    with pytest.raises(HeadstockError) as error:
        settle(resolved, 100, False, 1)
    assert str(error.value).startswith(message[:20])
    assert "textcnn" in str(error.value)
