"""A task's default backbone, and its fallback where the default cannot be made."""

from __future__ import annotations

from typing import Any

import pytest

from headstock import HeadstockError
from headstock.recipe.backbones import fallbacks_of
from headstock.recipe.read import resolve_recipe
from headstock_registry import load_catalogue
from headstock_text.backbones.minilm import MiniLm
from headstock_text.backbones.use.multilingual import UseMultilingual
from headstock_text.tasks.text_classification import TextClassification

MISSING = "its package is not installed: pip install it"
REMARK = f"backbone textcnn in place of the default minilm: {MISSING}; of use-multilingual: {MISSING}"
THIRD_PARTY = """
from headstock_text.backbones.textcnn import TextCnn
from headstock_text.tasks.text_classification import TextClassification


class Task(TextClassification):
    default_backbone = "made-up-pretrained"


class Pretrained(TextCnn):
    @classmethod
    def unavailable(cls):
        return "it is made up"
"""


@pytest.fixture
def uninstalled(monkeypatch: pytest.MonkeyPatch) -> None:
    for backbone in (MiniLm, UseMultilingual):
        monkeypatch.setattr(backbone, "unavailable", classmethod(lambda cls: MISSING))


@pytest.mark.parametrize(
    ("task", "default"),
    [
        ("text-classification", "minilm"),
        ("token-classification", "minilm"),
        ("image-classification", "efficientnet-lite0"),
        ("object-detection", "smallcnn"),
        ("translation", "subword-transformer"),
        ("audio-classification", "crnn"),
        ("automatic-speech-recognition", "crnn"),
    ],
)
def test_defaults(task: str, default: str) -> None:
    entry = load_catalogue().get("task", task)
    assert load_catalogue().resolve(entry).default_backbone == default


def test_a_fallback_is_taken_and_said(uninstalled: None) -> None:
    resolved = resolve_recipe(load_catalogue(), "text-classification")
    assert resolved.recipe.backbone is not None
    assert resolved.recipe.backbone.name == "textcnn"
    assert resolved.remarks == (REMARK,)


@pytest.mark.parametrize("name", ["use-multilingual", "textcnn"])
def test_a_backbone_that_is_named_is_meant(uninstalled: None, name: str) -> None:
    resolved = resolve_recipe(load_catalogue(), "text-classification", [f"backbone={name}"])
    assert resolved.backbone.entry.name == name
    assert resolved.remarks == ()


@pytest.mark.parametrize("override", ["backbone.pooling=cls", "pooling=cls"])
def test_options_of_the_default_are_not_those_of_the_fallback(uninstalled: None, override: str) -> None:
    assert resolve_recipe(load_catalogue(), "text-classification", ["backbone.max_length=9"]).backbone.config.max_length
    with pytest.raises(HeadstockError, match=f"pooling.*; {REMARK}$"):
        resolve_recipe(load_catalogue(), "text-classification", [override])


def test_a_subclass_with_another_default_has_the_fallback_that_it_names() -> None:
    class Another(TextClassification):
        default_backbone = "bilstm"

    class Same(TextClassification):
        pass

    class Both(Another):
        fallback_backbones = ("textcnn",)

    assert [fallbacks_of(cls) for cls in (TextClassification, Same, Another, Both)] == [
        ("use-multilingual", "textcnn"),
        ("use-multilingual", "textcnn"),
        (),
        ("textcnn",),
    ]


def test_a_third_partys_default_is_never_replaced(fake_site: Any) -> None:
    fake_site.module("made_up_parts", THIRD_PARTY)
    text = {"modality": "text"}
    task = {"kind": "task", "name": "made-up-task", "target": "made_up_parts:Task", **text}
    backbone = {"kind": "backbone", "name": "made-up-pretrained", "target": "made_up_parts:Pretrained", **text}
    fake_site.add("made-up", entries=[task, backbone])
    resolved = resolve_recipe(load_catalogue(), "made-up-task")
    assert resolved.backbone.entry.name == "made-up-pretrained"
    assert resolved.remarks == ()
