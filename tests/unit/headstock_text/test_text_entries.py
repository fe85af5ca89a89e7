from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from headstock import Entry
from headstock.interfaces import Backbone, Task
from headstock_text.plugin import headstock_entries

ENTRIES = headstock_entries()


def test_names_and_modality() -> None:
    assert [(entry.kind, entry.name) for entry in ENTRIES] == [
        ("backbone", "transformers-text"),
        ("backbone", "minilm"),
        ("backbone", "use-multilingual"),
        ("backbone", "textcnn"),
        ("backbone", "bilstm"),
        ("backbone", "seq2seq"),
        ("backbone", "subword-transformer"),
        ("task", "translation"),
        ("task", "text-classification"),
        ("task", "token-classification"),
    ]
    assert {entry.modality for entry in ENTRIES} == {"text"}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_target_is_a_component_with_described_options(entry: Entry) -> None:
    module, attribute = entry.target.split(":")
    component = getattr(importlib.import_module(module), attribute)

    assert issubclass(component, Backbone if entry.kind == "backbone" else Task)
    assert component.modality == entry.modality
    assert component.Config.__doc__
    for name, field in component.Config.model_fields.items():
        assert field.description, name


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.kind == "task"], ids=lambda entry: entry.name)
def test_default_backbone_is_one_of_this_plugin(entry: Entry) -> None:
    module, attribute = entry.target.split(":")
    task = getattr(importlib.import_module(module), attribute)

    assert task.default_backbone in {other.name for other in ENTRIES if other.kind == "backbone"}


def test_listing_imports_nothing_heavy() -> None:
    code = (
        "import sys, headstock_text.plugin as plugin; plugin.headstock_entries();"
        "print(sorted({'torch', 'transformers', 'numpy', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
