from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from PIL import Image

from headstock import ConfusionMatrix, Details, HeadstockError, RunResult
from headstock.report.card import model_card
from headstock.report.hub import upload_run
from headstock.report.plots import plot_confusion, plot_curves
from headstock.report.result import TestResult, TrainingSummary
from headstock.report.table import before_after


@pytest.fixture
def result(tmp_path: Path) -> RunResult:
    training = TrainingSummary(
        steps=30,
        best_step=20,
        best_metric="accuracy",
        best_value=0.9,
        stopped_early=True,
        examples_per_second=100.0,
        seconds=3.0,
        peak_memory_mb=500.0,
    )
    per_class = {"yes": {"precision": 0.5, "support": 3.0}, "no": {"precision": 1.0, "support": 4.0}}
    return RunResult(
        path=tmp_path,
        task="some-task",
        backbone="some-backbone",
        adapter="full",
        seed=7,
        parameters=1000,
        trainable_parameters=10,
        examples={"train": 80, "validation": 10, "test": 7},
        skipped={"train": ["a.csv row 1: empty"], "validation": [], "test": []},
        training=training,
        before=TestResult(metrics={"loss": 1.0, "accuracy": 0.5}, details=Details()),
        after=TestResult(metrics={"loss": 0.4, "accuracy": 0.8}, details=Details(per_class=per_class)),
    )


def test_the_card_has_the_metadata_that_the_hub_reads(result: RunResult) -> None:
    text = model_card(result, "task: x\n", "0.1", "text-classification", "org/model", "reviews", set())
    card = ModelCard(text)
    assert card.data.base_model == "org/model"
    assert card.data.pipeline_tag == "text-classification"
    assert card.data.library_name == "headstock"
    (metric,) = card.data.eval_results
    assert (metric.metric_type, metric.metric_value, metric.dataset_name) == ("accuracy", 0.8, "reviews")
    assert "| accuracy | 0.5000 | 0.8000 | +0.3000 |" in text
    assert "1 unusable rows left out" in text
    assert "| yes | 0.5000 | 3 |" in text


def test_a_local_folder_is_no_base_model(result: RunResult) -> None:
    text = model_card(result, "", "0.1", None, "/somewhere/model", "reviews", set())
    assert ModelCard(text).data.base_model is None


def test_the_closing_table(result: RunResult) -> None:
    table = before_after(result)
    assert "accuracy  0.5000  0.8000  +0.3000" in table
    assert "10 of 1,000 parameters" in table
    assert "stopped early" in table


def test_plots_are_pictures(tmp_path: Path) -> None:
    records: list[dict[str, Any]] = [
        {"kind": "train", "step": 10, "loss": 2.0},
        {"kind": "train", "step": 20, "loss": 1.0},
        {"kind": "validation", "step": 20, "loss": 1.5, "f1": 0.5},
    ]
    plot_curves(records, "f1", 20, tmp_path / "curves.png")
    plot_confusion(ConfusionMatrix(labels=("好", "坏"), counts=((3, 1), (0, 2))), tmp_path / "chinese.png")
    many = tuple(f"class number {number}" for number in range(30))
    counts = tuple(tuple(int(row == column) for column in range(30)) for row in range(30))
    plot_confusion(ConfusionMatrix(labels=many, counts=counts), tmp_path / "many.png")
    for name in ("curves", "chinese", "many"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert min(picture.size) > 200
            assert len(set(picture.convert("L").tobytes())) > 5


def test_upload_sends_the_run_without_checkpoints_and_test_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, Any]] = []

    class Api:
        def create_repo(self, repository: str, **options: Any) -> None:
            calls.append((repository, options))

        def upload_folder(self, **options: Any) -> str:
            calls.append(("upload", options))
            return "https://hub/commit"

    monkeypatch.setattr("headstock.report.hub.HfApi", Api)
    assert upload_run(tmp_path, "me/model") == "https://hub/commit"
    assert calls[0] == ("me/model", {"exist_ok": True, "private": True})
    assert calls[1][1]["folder_path"] == tmp_path
    assert "predictions.jsonl" in calls[1][1]["ignore_patterns"]


def test_a_failed_upload_says_that_the_run_is_safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(HeadstockError, match=r"cannot upload to 'me//model'.*is safe in"):
        upload_run(tmp_path, "me//model")
