from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from headstock.data import DataConfig, cache_dir


def test_nothing_named_is_the_sample_with_tenths_cut() -> None:
    config = DataConfig()
    assert (config.path, config.train, config.hub) == (None, None, None)
    assert (config.validation_fraction, config.test_fraction, config.split_seed) == (0.1, 0.1, 0)
    assert (config.format, config.on_bad_example, config.limit) == ("auto", "error", None)


def test_every_option_is_described() -> None:
    assert [name for name, field in DataConfig.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(
    "options",
    [
        {"path": "a.csv", "train": "b.csv"},
        {"path": "a.csv", "test": "b.csv"},
        {"path": "a.csv", "hub": "imdb"},
        {"train": "a.csv", "hub": "imdb"},
    ],
)
def test_sources_exclude_each_other(options: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="exclude each other") as caught:
        DataConfig.model_validate(options)
    assert all(f"data.{name}" in str(caught.value) for name in options)


@pytest.mark.parametrize("options", [{"name": "sst2"}, {"revision": "main"}, {"splits": {"test": "dev"}}])
def test_hub_options_need_a_hub_data_set(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=rf"data\.{next(iter(options))} is about a Hub data set"):
        DataConfig.model_validate({"path": "a.csv", **options})


@pytest.mark.parametrize(
    "options",
    [
        {"validation_fraction": 0},
        {"test_fraction": 1},
        {"validation_fraction": 0.5, "test_fraction": 0.5},
        {"limit": 0},
        {"split_seed": -1},
        {"on_bad_example": "ignore"},
        {"hub": "imdb", "splits": {"dev": "validation"}},
        {"file": "a.csv"},
    ],
)
def test_values_out_of_bounds_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DataConfig.model_validate(options)


def test_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTOCK_CACHE", "/somewhere")
    assert cache_dir() == Path("/somewhere")
    monkeypatch.setenv("HEADSTOCK_CACHE", "~/kept")
    assert cache_dir() == Path.home() / "kept"
    monkeypatch.delenv("HEADSTOCK_CACHE")
    assert cache_dir() == Path.home() / ".cache" / "headstock"
