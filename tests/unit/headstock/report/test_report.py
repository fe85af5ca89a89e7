from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import filter_repo_objects
from matplotlib.figure import Figure
from PIL import Image
from pydantic import ValidationError

from headstock import ConfusionMatrix, Details, HeadstockError, Provenance, RunResult
from headstock.report.card import model_card
from headstock.report.environment import source_commit
from headstock.report.hub import HTTP_ERROR, LEFT_OUT, upload_run
from headstock.report.plots import plot_confusion, plot_curves, training_curve
from headstock.report.result import TestResult, TrainingSummary
from headstock.report.table import before_after, metrics_table


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
        baseline={"accuracy": 0.4},
        before=TestResult(metrics={"loss": 1.0, "accuracy": 0.5}, details=Details()),
        after=TestResult(metrics={"loss": 0.4, "accuracy": 0.8}, details=Details(per_class=per_class)),
    )


def test_the_card_has_the_metadata_that_the_hub_reads(result: RunResult) -> None:
    text = model_card(result, "task: x\n", "0.1", "text-classification", "org/model", "reviews")
    card = ModelCard(text)
    assert card.data.base_model == "org/model"
    assert card.data.pipeline_tag == "text-classification"
    assert card.data.library_name == "headstock"
    (metric,) = card.data.eval_results
    assert (metric.metric_type, metric.metric_value, metric.dataset_name) == ("accuracy", 0.8, "reviews")
    assert "| accuracy | 0.4000 | 0.5000 | 0.8000 | +0.3000 |" in text
    assert "1 unusable rows left out" in text
    assert "| yes | 0.5000 | 3 |" in text


def test_what_went_otherwise_than_planned_is_told(result: RunResult) -> None:
    assert "skipped:" not in model_card(result, "", "0.1", None, None, "reviews") + before_after(result)
    training = result.training.model_copy(update={"skipped_steps": 3, "cost_limit": 512})
    result = result.model_copy(update={"training": training})
    for text in (model_card(result, "", "0.1", None, None, "reviews"), before_after(result)):
        assert "\n3 steps were skipped: their loss or gradient was not finite.\nMemory ran out: batches" in text
        assert "\nMemory ran out: batches of a cost above 512 were done in pieces.\n" in text


def test_a_local_folder_is_no_base_model(result: RunResult) -> None:
    text = model_card(result, "", "0.1", None, "/somewhere/model", "reviews")
    assert ModelCard(text).data.base_model is None


def test_provenance_of_weights_is_told(result: RunResult) -> None:
    origin = Provenance("weights-of-someone 1.2 on PyPI", "Apache-2.0", "ab12")
    text = model_card(result, "", "0.1", None, origin, "reviews")
    assert ModelCard(text).data.base_model is None
    assert (
        "pretrained weights.\nThese are from weights-of-someone 1.2 on PyPI; licence Apache-2.0, SHA-256 `ab12`."
        in text
    )


def test_the_closing_table(result: RunResult) -> None:
    table = before_after(result)
    assert "metric    baseline  before   after   change" in table
    assert "accuracy    0.4000  0.5000  0.8000  +0.3000" in table
    assert "loss             –  1.0000  0.4000  -0.6000" in table
    without = before_after(result.model_copy(update={"baseline": None}))
    assert "accuracy  0.5000  0.8000  +0.3000" in without
    assert "10 of 1,000 parameters" in table
    assert "stopped early" in table


def test_a_curve_leaves_out_windows_without_a_loss() -> None:
    losses = [1.0, None, 0.5]
    records = [{"kind": "train", "step": 10 * (n + 1), "epoch": 0, "loss": loss} for n, loss in enumerate(losses)]
    assert training_curve(records)[1][-1] < 1.0


def test_plots_are_pictures(tmp_path: Path) -> None:
    records: list[dict[str, Any]] = [
        {"kind": "train", "step": 10, "loss": 2.0},
        {"kind": "train", "step": 20, "loss": 1.0},
        {"kind": "validation", "step": 20, "loss": 1.5, "f1": 0.5},
    ]
    plot_curves(records, "f1", 20, tmp_path / "curves.png")
    plot_confusion(
        ConfusionMatrix(labels=("好", "坏"), pairs=((0, 0, 3), (0, 1, 1), (1, 1, 2))), tmp_path / "chinese.png"
    )
    many = tuple(f"class number {number}" for number in range(30))
    plot_confusion(ConfusionMatrix.count(many, ((row, row) for row in range(30))), tmp_path / "many.png")
    for name in ("curves", "chinese", "many"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert min(picture.size) > 200
            assert len(set(picture.convert("L").tobytes())) > 5


@pytest.mark.parametrize(
    "labels",
    [
        ("$\\foo$", "$<5%$"),
        ("_x", "__"),
        ("a\nb\r\x1b[31m", ""),
        ("x" * 100_000, "\ud800"),
        ("$", "$$"),
        ("<b>", "&amp;"),
        ("\u202eabc", "\\"),
        ("only",),
    ],
)
def test_nothing_that_is_drawn_is_parsed(labels: tuple[str, ...], tmp_path: Path) -> None:
    matrix = ConfusionMatrix.count(labels, ((index, 0) for index in range(len(labels))))
    plot_confusion(matrix, tmp_path / "confusion.png")
    records: list[dict[str, Any]] = [
        {"kind": "train", "step": 10, "loss": 2.0},
        {"kind": "validation", "step": 20, "loss": 1.5, "$\\foo$\n": 0.5},
    ]
    plot_curves(records, "$\\foo$\n", 20, tmp_path / "curves.png")
    for name in ("confusion", "curves"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert 200 < max(picture.size) < 3000


def test_of_many_labels_the_most_confused_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Figure] = []
    write = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda figure, *given, **more: (figures.append(figure), write(figure, *given, **more))
    )
    pairs = [(index, index) for index in range(1000)] + [(7, 990), (7, 990), (500, 7)]
    matrix = ConfusionMatrix.count([f"label {index}" for index in range(1000)], pairs)
    assert len(matrix.pairs) == 1002
    assert len(matrix.model_dump_json()) < 40_000
    plot_confusion(matrix, tmp_path / "confusion.png")
    axes = figures[0].axes[0]
    assert axes.get_title() == "test split, the 20 most confused of 1,000 labels"
    assert {"label 7", "label 990", "label 500"} <= {text.get_text() for text in axes.get_yticklabels()}


def test_the_record_of_an_earlier_version_is_read() -> None:
    old = {"labels": ["a", "b"], "counts": [[3, 1], [0, 2]]}
    assert ConfusionMatrix.model_validate(old).pairs == ((0, 0, 3), (0, 1, 1), (1, 1, 2))
    with pytest.raises(ValidationError, match="2 labels"):
        ConfusionMatrix(labels=("a", "b"), pairs=((0, 2, 1),))


def drawn(records: list[dict[str, Any]], path: Path, monkeypatch: pytest.MonkeyPatch) -> Figure:
    """Return the figure that is written to a file."""
    figures: list[Figure] = []
    write = Figure.savefig

    def keep(figure: Figure, *arguments: Any, **options: Any) -> None:
        figures.append(figure)
        write(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    plot_curves(records, "f1", records[-1]["step"], path / "curves.png")
    return figures[0]


@pytest.mark.parametrize(
    ("records", "steps", "losses"),
    [
        # logged every 20 steps, validated every 21: one step's loss must not stand out of the line
        ([(20, 2.0), (21, 9.0), (40, 1.0), (42, 9.0), (60, 0.5)], [20, 40, 60], [2.0, 28 / 20, 27 / 20]),
        # the last records do not fill a window
        ([(20, 2.0), (40, 1.0), (44, 0.5)], [20, 44], [2.0, 22 / 24]),
        # fewer steps in an epoch than between two logged losses
        ([(8, 2.0), (16, 1.0)], [8, 16], [2.0, 1.0]),
        ([(3, 2.0)], [3], [2.0]),
    ],
)
def test_the_training_curve_has_no_jumps_at_validations(
    records: list[tuple[int, float]],
    steps: list[int],
    losses: list[float],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train = [{"kind": "train", "step": step, "loss": loss} for step, loss in records]
    validation = {"kind": "validation", "step": records[-1][0], "loss": 1.0, "f1": 0.5}
    line = drawn([*train, validation], tmp_path, monkeypatch).axes[0].lines[0]
    assert line.get_xdata().tolist() == steps
    assert line.get_ydata().tolist() == pytest.approx(losses)


@pytest.mark.parametrize(
    ("values", "inside", "outside"), [([1.0, 1.0], 1.0, 1.01), ([0.0, 0.0], 0.0, -0.01), ([40.0, 70.0], 71.0, 100.0)]
)
def test_shares_have_an_axis_within_0_and_1(
    values: list[float], inside: float, outside: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    validation = [{"kind": "validation", "step": step, "loss": 1.0, "f1": f1} for step, f1 in enumerate(values, 1)]
    low, high = (
        drawn([{"kind": "train", "step": 1, "loss": 2.0}, *validation], tmp_path, monkeypatch).axes[1].get_ylim()
    )
    assert low <= inside <= high
    assert not low <= outside <= high


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


def test_an_upload_without_a_connection_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Any, *arguments: Any, **options: Any) -> None:
        raise HTTP_ERROR("connection refused\nby peer")

    assert issubclass(HfHubHTTPError, HTTP_ERROR)
    monkeypatch.setattr("headstock.report.hub.HfApi.create_repo", refuse)
    with pytest.raises(HeadstockError, match=r"cannot upload to 'me/model': connection refused by peer; the run is"):
        upload_run(tmp_path, "me/model")


def test_unfinished_and_hidden_files_are_not_uploaded() -> None:
    kept = ["model/model.json", "README.md"]
    left = [".model.7.tmp/head.safetensors", "plots/.curves.png.7.tmp", ".env", "model/.cache/x", "checkpoints/1/a"]
    assert list(filter_repo_objects([*kept, *left], ignore_patterns=LEFT_OUT)) == kept


def test_a_relative_folder_is_no_base_model(result: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models/minilm").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    text = model_card(result, "", "0.1", None, "models/minilm", "reviews")
    assert ModelCard(text).data.base_model is None


def test_counts_are_whole_numbers_and_rates_are_not(result: RunResult) -> None:
    details = Details(per_class={"a": {"f1": 1.0, "support": 1.0}, "b": {"f1": 0.0, "support": 4.0}})
    after = TestResult(metrics={"loss": 0.1, "accuracy": 0.5}, details=details)
    text = model_card(result.model_copy(update={"after": after}), "", "0.1", None, None, "reviews")
    assert "| a | 1.0000 | 1 |" in text
    assert "| b | 0.0000 | 4 |" in text
    assert metrics_table({}, details).splitlines()[-1].split() == ["b", "0.0000", "4"]


def test_figures_that_are_not_finite_are_null_and_a_dash(result: RunResult) -> None:
    broken = result.model_copy(
        update={
            "after": TestResult(metrics={"loss": math.nan, "accuracy": math.inf}, details=Details()),
            "training": TrainingSummary.model_validate({**result.training.model_dump(), "best_value": math.nan}),
        }
    )
    record = json.loads(json.dumps(broken.model_dump(mode="json"), allow_nan=False))
    assert record["after"]["metrics"] == {"loss": None, "accuracy": None}
    assert record["training"]["best_value"] is None
    (result.path / "results.json").write_text(json.dumps(record))
    assert RunResult.read(result.path) == broken
    assert "accuracy    0.4000  0.5000      –       –" in before_after(broken)
    text = model_card(broken, "", "0.1", None, None, "reviews")
    assert "| accuracy | 0.4000 | 0.5000 | – | – |" in text
    assert "best validation accuracy (–)" in text


def test_the_commit_is_that_of_headstock_and_not_of_the_repository_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "venv/environment.py"
    installed.parent.mkdir()
    installed.write_text("")
    (tmp_path / "own.py").write_text("")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=me", "-c", "user.email=me@example.org"]
    for arguments in (["init", "-q"], ["add", "own.py"], ["commit", "-q", "-m", "mine"]):
        subprocess.run([*git, *arguments], check=True)
    monkeypatch.setattr("headstock.report.environment.__file__", str(installed))
    assert source_commit() is None
    subprocess.run([*git, "add", "."], check=True)
    assert str(source_commit()).endswith("+")
