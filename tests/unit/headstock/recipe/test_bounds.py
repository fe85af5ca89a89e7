"""Every number that a recipe can hold has limits, and what lies beyond is one line that names key and limit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from headstock import HeadstockError, Recipe
from headstock.data import DataConfig
from headstock.interfaces.component import Config
from headstock.recipe.components import component_class
from headstock.recipe.read import resolve_recipe
from headstock.trainer.config import TrainerConfig
from headstock_registry import Catalogue, load_catalogue


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def unbounded(config: type[Config]) -> Iterator[str]:
    for name, schema in config.model_json_schema()["properties"].items():
        for choice in schema.get("anyOf", [schema]):
            for part in (choice, choice.get("items", {})):
                if part.get("type") == "integer" and not {"maximum", "exclusiveMaximum", "enum"} & set(part):
                    yield name


def test_whole_numbers_have_an_upper_limit(catalogue: Catalogue) -> None:
    kinds = ("task", "backbone", "adapter")
    entries = [entry for kind in kinds for entry in catalogue.entries(kind)]
    configs = [component_class(catalogue, entry).Config for entry in entries]
    found = {config.__name__: list(unbounded(config)) for config in (*configs, TrainerConfig, DataConfig, Recipe)}
    assert {name: names for name, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.epochs=1000000000000", "'trainer.epochs': input should be less than or equal to 10000, got '1000"),
        ("trainer.epochs=" + "9" * 5000, r"'trainer.epochs': .*, got '999+…$"),
        ("trainer.batch_size=-1", "'trainer.batch_size': input should be greater than or equal to 1"),
        ("trainer.batch_size=99999999999", "'trainer.batch_size': input should be less than or equal to 1000000"),
        ("trainer.max_steps=1e400", "'trainer.max_steps': input should be a valid integer"),
        ("trainer.learning_rate=nan", "'trainer.learning_rate': input should be a finite number, got 'nan'"),
        ("trainer.weight_decay=inf", "'trainer.weight_decay': input should be a finite number"),
        ("trainer.learning_rate=1e-400", "'trainer.learning_rate': input should be greater than 0"),
        ("seed=18446744073709551616", "'seed': input should be less than 2147483648"),
        ("data.limit=0", "'data.limit': input should be greater than or equal to 1"),
        ("data.path=", "'data.path': string should have at least 1 character"),
        ("data.path=a\0b", "'data.path': input should be text without NUL"),
        ("backbone.max_length=1000000000", "'backbone.max_length': input should be less than or equal to 1000000"),
    ],
)
def test_values_beyond_the_limits(catalogue: Catalogue, override: str, message: str) -> None:
    with pytest.raises(HeadstockError, match=message) as caught:
        resolve_recipe(catalogue, "text-classification", [override])
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"epochs": True}, "'trainer.epochs': input should be a number, not true or false, got True"),
        ({"learning_rate": False}, "'trainer.learning_rate': input should be a number, not true or false"),
        ({"epochs": 1.5}, "'trainer.epochs': input should be a valid integer, got a number with a fractional part"),
        ({"epochs": [1]}, "'trainer.epochs': input should be a valid integer"),
        ({"compile": "maybe"}, "'trainer.compile': input should be a valid boolean"),
        ({"metric": 1}, r"'trainer.metric': input should be a valid string, got 1 \(in quotes it is text\)"),
        ({"device": ["cpu"]}, "'trainer.device': input should be 'auto', 'cpu' or 'cuda'"),
        ({"metric": "\ud800"}, r"'trainer.metric': input should be text .*, got '\\ud800'"),
        ({"x\n" * 100: 1}, r"unknown option 'trainer\.x\\nx\\n.*…'"),
    ],
)
def test_values_of_another_type(catalogue: Catalogue, section: dict[str, Any], message: str) -> None:
    with pytest.raises(HeadstockError, match=message) as caught:
        resolve_recipe(catalogue, {"task": "text-classification", "trainer": section})
    assert str(caught.value).isprintable()


def test_what_means_a_number_or_a_truth_is_taken(catalogue: Catalogue) -> None:
    section = {"epochs": 3.0, "batch_size": "1_000", "compile": "no", "max_steps": "010", "learning_rate": 1}
    trainer = resolve_recipe(catalogue, {"task": "text-classification", "trainer": section}).trainer
    assert (trainer.epochs, trainer.batch_size, trainer.compile) == (3, 1000, False)
    assert (trainer.max_steps, trainer.learning_rate) == (10, 1.0)
