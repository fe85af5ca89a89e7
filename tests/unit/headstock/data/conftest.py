from __future__ import annotations

from pathlib import Path

import pytest

from headstock.data import cache_dir
from headstock.interfaces import Column


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTOCK_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def texts() -> tuple[Column, ...]:
    return (
        Column(name="text", role="input", summary="what is read"),
        Column(name="text_pair", role="input", summary="what it goes with", required=False),
        Column(name="label", role="target", summary="its class", stratify=True),
    )


@pytest.fixture
def sentences() -> tuple[Column, ...]:
    return (
        Column(name="words", role="input", summary="the words"),
        Column(name="tags", role="target", summary="a tag a word"),
    )


@pytest.fixture
def pictures() -> tuple[Column, ...]:
    return (
        Column(name="picture", role="input", content="file", summary="the file", suffixes=(".png", ".jpg")),
        Column(name="label", role="target", summary="its class", stratify=True),
    )


@pytest.fixture
def sounds() -> tuple[Column, ...]:
    return (
        Column(name="sound", role="input", content="file", summary="the file"),
        Column(name="text", role="target", summary="what is said"),
    )


@pytest.fixture
def stored() -> Path:
    return cache_dir() / "tables"
