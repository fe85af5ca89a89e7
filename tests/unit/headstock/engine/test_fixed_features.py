"""A frozen backbone runs once, and what is read later is what it would give now."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headstock.console import Console
from headstock.engine.run import run_resolved
from headstock.recipe.read import resolve_recipe
from headstock_registry import load_catalogue

SMALL = {
    "text-classification": "textcnn",
    "token-classification": "bilstm",
    "image-classification": "smallcnn",
    "automatic-speech-recognition": "crnn",
}
Probe = Callable[..., tuple[dict[str, float], str]]
SHORT = {"data.limit": 60, "trainer.epochs": 2, "trainer.device": "cpu", "trainer.precision": "fp32"}


@pytest.fixture
def probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Probe:
    monkeypatch.setenv("HEADSTOCK_CACHE", str(tmp_path / "cache"))
    catalogue = load_catalogue()

    def run(task: str, **options: Any) -> tuple[dict[str, float], str]:
        chosen = {
            "backbone": SMALL[task],
            "adapter": "linear-probe",
            **SHORT,
            **{key.replace("__", "."): value for key, value in options.items()},
        }
        resolved = resolve_recipe(catalogue, task, chosen)
        shown = io.StringIO()
        number = len(list(tmp_path.glob("run-*")))
        result = run_resolved(
            catalogue, resolved, tmp_path / f"run-{number}", resume=False, force=False, console=Console(stream=shown)
        )
        return result.after.metrics, shown.getvalue()

    return run


@pytest.fixture
def kept(tmp_path: Path) -> Callable[[], set[str]]:
    return lambda: {path.name for path in (tmp_path / "cache" / "features").glob("*")}


@pytest.mark.parametrize("task", ["text-classification", "token-classification", "automatic-speech-recognition"])
def test_metrics_are_those_of_a_backbone_that_runs_in_every_epoch(
    probe: Probe, kept: Callable[[], set[str]], task: str
) -> None:
    fixed, _ = probe(task)
    assert len(kept()) == 3
    every, _ = probe(task, trainer__cache_features=False)
    assert fixed == pytest.approx(every, rel=1e-4, abs=1e-4)


def test_another_head_reads_what_is_there_and_all_else_makes_it_anew(
    probe: Probe, kept: Callable[[], set[str]]
) -> None:
    probe("text-classification")
    first = kept()
    probe("text-classification", task__label_smoothing=0.1, trainer__learning_rate=0.01)
    assert kept() == first
    for change in (
        {"seed": 1},  # other weights of a network from scratch
        {"trainer__precision": "bf16"},
        {"backbone__max_length": 9},
        {"data__limit": 50},
    ):
        before = kept()
        probe("text-classification", **change)
        assert len(kept() - before) == 3, change


def test_a_head_on_pooled_vectors_keeps_no_sequences(probe: Probe, tmp_path: Path) -> None:
    probe("text-classification")
    assert not list((tmp_path / "cache" / "features").rglob("sequence.bin"))
    probe("token-classification")
    assert list((tmp_path / "cache" / "features").rglob("sequence.bin"))


def test_augmented_training_data_is_encoded_in_every_epoch(probe: Probe, kept: Callable[[], set[str]]) -> None:
    _, shown = probe("image-classification", task__augmentation="light")
    assert "training examples are augmented, so the frozen backbone runs anew" in shown
    assert len(kept()) == 2  # validation and test
    _, shown = probe("image-classification")
    assert "augmented" not in shown
    assert len(kept()) == 3


def test_a_backbone_that_is_trained_is_not_kept(probe: Probe, kept: Callable[[], set[str]]) -> None:
    probe("text-classification", adapter="full")
    assert not kept()


def test_too_little_room_is_said_and_nothing_is_kept(
    probe: Probe, kept: Callable[[], set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headstock.engine.passes.feature_cache.FRACTION_OF_DISK", 0.0)
    _, shown = probe("text-classification")
    assert "for which the cache's disk has too little room" in shown
    assert not kept()


@pytest.mark.parametrize("adapter", ["full", "lora"])
def test_a_frozen_encoder_runs_once_while_the_decoder_is_trained(
    probe: Probe, kept: Callable[[], set[str]], tiny_whisper: Path, adapter: str
) -> None:
    options = {
        "adapter": adapter,
        "backbone": "speech-seq2seq",
        "backbone__model": str(tiny_whisper),
        "backbone__language": "en",
        "backbone__max_tokens": 6,
        "backbone__silence_seconds": 0.5,
        "trainer__learning_rate": 0.01,
        "trainer__metric": "loss",  # by errors the untrained weights would be the best, and stay
    }
    fixed, _ = probe("automatic-speech-recognition", **options, backbone__freeze_encoder=True)
    assert len(kept()) == 3
    every, _ = probe(
        "automatic-speech-recognition", **options, backbone__freeze_encoder=True, trainer__cache_features=False
    )
    assert fixed == pytest.approx(every, rel=1e-4, abs=1e-4)
    moving, _ = probe("automatic-speech-recognition", **options)
    assert len(kept()) == 3
    assert moving["loss"] != pytest.approx(fixed["loss"], rel=1e-3)
