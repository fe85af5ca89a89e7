from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headstock import run
from headstock.attribution import note_rows, notes
from headstock_registry import HeadstockError, load_catalogue

PARTS = """
import torch
from pydantic import field_validator
from headstock_adapters.full import Full
from headstock_text.backbones.textcnn import TextCnn
from headstock_text.tasks.text_classification import TextClassification, TextClassificationConfig

AT = {at!r}
ROW = "sunny"


def fail(at):
    if at == AT:
        raise LookupError("a slip")


class Config(TextClassificationConfig):
    @field_validator("dropout")
    @classmethod
    def checked(cls, value):
        fail("options")
        return value


class Task(TextClassification):
    Config = Config
    default_backbone = "made-up-backbone"

    def sample(self):
        rows = [{{"text": text, "label": text[:1]}} for text in ("sunny day", "rainy day", "sunny eve", "rainy eve")]
        return {{"train": rows * 2, "validation": rows, "test": rows}}

    def inputs(self, row):
        if row["text"] == "sunny eve":
            fail("inputs")
        return super().inputs(row)

    def reference(self, row):
        if row["text"] == "sunny eve":
            fail("reference")
        return super().reference(row)

    def encode(self, reference, example):
        fail("encode")
        return super().encode(reference, example)

    def collate(self, targets):
        fail("collate")
        return super().collate(targets)

    def build_head(self, backbone):
        fail("build_head")
        return super().build_head(backbone)

    def forward(self, head, features, batch):
        if torch.is_grad_enabled():
            fail("forward")
        return super().forward(head, features, batch)

    def loss(self, outputs, batch):
        [None for _ in range(1) if fail("loss")]
        return super().loss(outputs, batch)

    def decode(self, outputs, batch):
        fail("decode")
        return super().decode(outputs, batch)

    def score(self, predictions, references):
        fail("score")
        return super().score(predictions, references)


class Backbone(TextCnn):
    @classmethod
    def create(cls, config, inputs):
        fail("create")
        return super().create(config, inputs)

    def preprocess(self, inputs):
        if inputs["text"] == "sunny eve":
            fail("preprocess")
        return super().preprocess(inputs)

    def embed(self, inputs):
        fail("embed")
        return super().embed(inputs)


class Adapter(Full):
    def attach(self, backbone):
        fail("attach")
        super().attach(backbone)
"""

EXACT = "data in use: sample train row 3"
SEVERAL = "data in use: sample "
CASES: dict[str, tuple[str, str, str | None]] = {
    "options": ("task", "checked", None),
    "inputs": ("task", "inputs", EXACT),
    "reference": ("task", "reference", EXACT),
    "encode": ("task", "encode", "data in use: sample train row 1"),
    "create": ("backbone", "create", None),
    "preprocess": ("backbone", "preprocess", EXACT),
    "attach": ("adapter", "attach", None),
    "build_head": ("task", "build_head", None),
    "collate": ("task", "collate", SEVERAL),
    "embed": ("backbone", "embed", SEVERAL),
    "loss": ("task", "loss", SEVERAL),
    "forward": ("task", "forward", SEVERAL),
    "decode": ("task", "decode", SEVERAL),
    "score": ("task", "score", None),
}


@pytest.mark.parametrize("at", CASES)
def test_a_slip_in_a_plugin_is_named_with_its_component_and_rows(
    fake_site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    monkeypatch.setenv("HEADSTOCK_CACHE", str(tmp_path / "cache"))
    kind, method, rows = CASES[at]
    fake_site.module("made_up_parts", PARTS.format(at=at))
    entries = [
        {"kind": each, "name": f"made-up-{each}", "target": f"made_up_parts:{each.title()}", "modality": modality}
        for each, modality in {"task": "text", "backbone": "text", "adapter": None}.items()
    ]
    fake_site.add("weather", entries=entries, plugin="forecast", version="2.1")
    overrides = ["adapter=made-up-adapter", "epochs=1", "task.dropout=0.1"]
    with pytest.raises(LookupError, match=r"^a slip\n") as caught:
        run("made-up-task", overrides, out=tmp_path / "run", catalogue=load_catalogue())
    plugin, *others = notes(caught.value)
    assert plugin == (f"the code of plugin 'forecast' (weather 2.1) failed: {kind} 'made-up-{kind}', method {method}")
    if rows is None:
        assert not others
    else:
        (said,) = others
        assert said.startswith(rows)
        assert rows != EXACT or said == rows


def test_errors_for_users_and_rows_that_are_named_already_get_no_note() -> None:
    error = HeadstockError("bad value")
    note_rows(error, ["row 1"])
    assert notes(error) == []
    bug = KeyError("x")
    note_rows(bug, (f"row {number}" for number in range(1, 8)))
    note_rows(bug, ["row 9"])
    assert notes(bug) == ["data in use: row 1, row 2, row 3 and 4 more"]
