from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, create_model

from headstock.cli.options.schema import Option, options
from headstock.interfaces.component import Config


def option(annotation, default=..., **field):
    model = create_model("Made", __base__=Config, x=(annotation, Field(default, description="what it does", **field)))
    (found,) = options(model)
    return found


@pytest.mark.parametrize(
    ("annotation", "limits", "shown"),
    [
        (int, {}, "int"),
        (float, {}, "float"),
        (bool, {}, "bool"),
        (str, {}, "str"),
        (Path, {}, "path"),
        (str | None, {}, "str or null"),
        (int, {"ge": 0}, "int ≥ 0"),
        (int, {"gt": 0, "le": 8}, "int > 0 and ≤ 8"),
        (float, {"ge": 0, "lt": 1}, "float ≥ 0 and < 1"),
        (int, {"multiple_of": 8}, "int in steps of 8"),
        (Annotated[float, Field(gt=0)] | None, {}, "float > 0 or null"),
        (Literal["none", "balanced"], {}, '"none" | "balanced"'),
        (Literal["auto"] | int, {}, '"auto" or int'),
        (Literal["auto"], {}, '"auto"'),
        (str, {"min_length": 1}, "str of 1 or more characters"),
        (str, {"min_length": 2, "max_length": 2}, "str of 2 characters"),
        (str, {"pattern": "^a"}, "str like ^a"),
        (list[str], {}, "list of str"),
        (tuple[str, ...], {"min_length": 1}, "list of 1 or more str"),
        (list[int], {"max_length": 3}, "list of up to 3 int"),
        (set[int], {}, "set of int"),
        (tuple[int, float], {}, "[int, float]"),
        (dict[str, float], {}, "mapping to float"),
        (dict, {}, "mapping"),
    ],
)
def test_types_and_limits_are_readable(annotation, limits, shown):
    assert option(annotation, **limits).type == shown


@pytest.mark.parametrize(
    ("annotation", "default", "shown"),
    [
        (int, ..., "required"),
        (str, "none", '"none"'),
        (str | None, None, "null"),
        (bool, True, "true"),
        (float, 0.1, "0.1"),
        (str, "中", '"中"'),
        (tuple[str, ...], ("a", "b"), '["a", "b"]'),
    ],
)
def test_defaults_are_json(annotation, default, shown):
    assert option(annotation, default).default == shown


def test_a_default_that_is_made_is_called_computed():
    model = create_model("Made", __base__=Config, x=(list[int], Field(default_factory=list)))
    assert options(model) == [Option("x", "list of int", "computed", "")]


class Inner(Config):
    rate: float = Field(0.1, gt=0, description="how fast")
    steps: int = Field(5, description="how long")


class Outer(Config):
    first: int = Field(1, description="a plain one")
    inner: Inner = Field(Inner(steps=9), description="nested")
    maybe: Inner | None = Field(None, description="nested, or left out")
    needed: Inner = Field(description="nested, no default")
    several: list[Inner] = Field([], description="many")


def test_nested_models_are_flattened_with_the_defaults_that_hold():
    assert [(row.name, row.type, row.default) for row in options(Outer)] == [
        ("first", "int", "1"),
        ("inner.rate", "float > 0", "0.1"),
        ("inner.steps", "int", "9"),
        ("maybe", "mapping or null", "null"),
        ("maybe.rate", "float > 0", "0.1"),
        ("maybe.steps", "int", "5"),
        ("needed", "mapping", "required"),
        ("needed.rate", "float > 0", "0.1"),
        ("needed.steps", "int", "5"),
        ("several", "list of mapping", "[]"),
    ]


class Tree(Config):
    depth: int = Field(0, description="how deep")
    below: Tree | None = Field(None, description="the next one")


def test_a_model_that_holds_itself_ends():
    assert [row.name for row in options(Tree)] == ["depth", "below"]


def test_no_options():
    assert options(Config) == []
