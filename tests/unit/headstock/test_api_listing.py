"""The public API is frozen: what is written against it keeps working until the API version moves."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from headstock import API_VERSION

API = Path(__file__).parents[2] / "api"


@pytest.fixture(scope="module")
def api() -> ModuleType:
    spec = importlib.util.spec_from_file_location("api_listing", API / "listing.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_nothing_public_is_gone_or_changed(api: ModuleType) -> None:
    frozen = (API / f"v{API_VERSION}.txt").read_text().splitlines()
    now = api.listing()
    gone = sorted(set(frozen) - set(now))
    assert gone == [], "a breaking change: raise API_VERSION (docs/compatibility.md)"
    demanded = sorted(line for line in set(now) - set(frozen) if line.endswith(" abstract"))
    assert demanded == [], "a new abstract method breaks every plugin: give it a default, or raise API_VERSION"


def test_what_was_added_is_written_down(api: ModuleType) -> None:
    frozen = (API / f"v{API_VERSION}.txt").read_text().splitlines()
    added = sorted(set(api.listing()) - set(frozen))
    assert added == [], "new in the API: python tests/api/listing.py > tests/api/v1.txt"
