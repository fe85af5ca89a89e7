"""Learning from a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import headstock
from headstock import HeadstockError
from headstock.engine.tuned_model import AT_ONCE

TEXT = {"backbone": "textcnn", "data.limit": 70, "trainer.device": "cpu", "trainer.precision": "fp32"}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("teacher") / "run"
    headstock.run("text-classification", {**TEXT, "trainer.max_steps": 30}, out=out)
    return out


def learn(task: str, out: Path, **options: Any) -> headstock.RunResult:
    method = {"name": "distillation", **options}
    steps = {"trainer.max_steps": 60, "trainer.learning_rate": 0.01}
    return headstock.run(task, {**TEXT, **steps, "methods": [method]}, out=out)


def test_outputs_are_those_of_predict(teacher: Path) -> None:
    model = headstock.load(teacher)
    texts = [f"how to open file number {n}" for n in range(AT_ONCE + 3)]
    parts = list(model.outputs({"text": text} for text in texts))
    assert [len(part["logits"]) for part in parts] == [AT_ONCE, 3]
    scores = torch.cat([part["logits"] for part in parts]).softmax(dim=1).max(dim=1).values
    for score, (best, *_) in zip(scores.tolist(), model.predict(texts), strict=True):
        assert best["score"] == pytest.approx(score, abs=1e-5)


def test_a_student_comes_near_to_its_teacher(teacher: Path, tmp_path: Path) -> None:
    result = learn("text-classification", tmp_path / "student", teacher=str(teacher), weight=1.0)
    assert result.methods == ["distillation"]
    texts = [row["text"] for row in headstock.load(teacher).task.sample()["train"]][:50]
    first = learn("text-classification", tmp_path / "untaught", teacher=str(teacher), weight=0.0)
    gaps = []
    for run in (result.path, first.path):
        own, theirs = (
            list(headstock.load(place).outputs({"text": each} for each in texts)) for place in (run, teacher)
        )
        ours, taught = (torch.cat([part["logits"] for part in parts]).log_softmax(dim=1) for parts in (own, theirs))
        gaps.append(float(torch.nn.functional.kl_div(ours, taught, reduction="batchmean", log_target=True)))
    assert gaps[0] < gaps[1] / 2
    assert "method `distillation`" in (result.path / "README.md").read_text()


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("text-classification", {"data.limit": 4}, "has learnt other labels or options than this run's task"),
        ("token-classification", {"backbone": "bilstm"}, "has learnt other labels or options than this run's task"),
        ("translation", {"backbone": "subword-transformer"}, "compares outputs, and this task has no divergence"),
    ],
)
def test_another_task_or_other_labels_are_refused(
    teacher: Path, tmp_path: Path, task: str, options: dict[str, Any], message: str
) -> None:
    settings = {
        **TEXT,
        **options,
        "trainer.max_steps": 1,
        "methods": [{"name": "distillation", "teacher": str(teacher)}],
    }
    with pytest.raises(HeadstockError, match=message):
        headstock.run(task, settings, out=tmp_path / "run")


def test_a_teacher_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HeadstockError, match="nowhere"):
        learn("text-classification", tmp_path / "run", teacher=str(tmp_path / "nowhere"))
    with pytest.raises(HeadstockError, match=r"'method distillation.teacher' is required"):
        learn("text-classification", tmp_path / "run")
