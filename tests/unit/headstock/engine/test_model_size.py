from __future__ import annotations

from types import SimpleNamespace

import pytest

from headstock import HeadstockError
from headstock.console import Console
from headstock.engine.setup import build_module, prepare_data
from headstock.recipe.read import resolve_recipe
from headstock_registry import load_catalogue


def test_a_model_larger_than_memory_is_refused_before_it_is_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved = resolve_recipe(load_catalogue(), "text-classification", ["backbone=textcnn", "limit=20"])
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=100_000))
    with pytest.raises(HeadstockError, match=r"the model does not fit into memory: .* of over 0\.\d GB .*'textcnn'"):
        prepare_data(resolved, Console(quiet=True))


def test_so_is_a_head(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved = resolve_recipe(load_catalogue(), "text-classification", ["backbone=textcnn", "limit=20"])
    data = prepare_data(resolved, Console(quiet=True))
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=100))
    with pytest.raises(HeadstockError, match="does not fit into memory"):
        build_module(resolved, data)
