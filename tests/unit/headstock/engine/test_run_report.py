"""Results and weights are there before anything is drawn, and whatever fails then is one warning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import headstock
from headstock import RunResult

OVERRIDES = {"backbone": "textcnn", "trainer.max_steps": 1, "data.limit": 16, "device": "cpu"}


def explode(*_: Any, **__: Any) -> None:
    raise RuntimeError("first line\nsecond line")


@pytest.mark.parametrize(
    ("function", "warning", "missing"),
    [
        ("report.plots.plot_confusion", "the confusion matrix could not be drawn", "plots/confusion.png"),
        ("engine.run_report.model_card", "the model card could not be written", "README.md"),
        ("engine.run_report._write_predictions", "the test predictions could not be written", "predictions.jsonl"),
    ],
)
def test_what_fails_is_a_warning_and_the_run_is_finished(
    function: str,
    warning: str,
    missing: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(f"headstock.{function}", explode)
        result = headstock.run("text-classification", OVERRIDES, out=tmp_path / "run")
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith(f"warning: {warning}: first line second line")] == lines
    assert RunResult.read(tmp_path / "run") == result
    assert len(headstock.load(tmp_path / "run").predict(["a"])) == 1
    assert not (tmp_path / "run" / missing).exists()
    card = tmp_path / "run/README.md"
    assert not card.exists() or "confusion.png" not in card.read_text() or not function.endswith("plot_confusion")

    again = headstock.run("text-classification", OVERRIDES, out=tmp_path / "run", resume=True)
    assert again == result
    assert card.exists()
    assert capsys.readouterr().err == ""


def test_labels_that_look_like_formulas_are_labels(tmp_path: Path) -> None:
    labels = ("$\\foo$", "$<5%$", "_x", "a\nb|c")
    data = tmp_path / "data.csv"
    quoted = ['"' + label + '"' for label in labels]
    data.write_text("text,label\n" + "".join(f"text {n} {label[1]},{label}\n" for n in range(10) for label in quoted))
    result = headstock.run(
        "text-classification", {**OVERRIDES, "data.limit": None, "data.path": str(data)}, out=tmp_path / "run"
    )
    assert set(result.after.details.per_class) == set(labels)
    assert (result.path / "plots/confusion.png").exists()
