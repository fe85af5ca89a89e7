"""What only a GPU can show."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import headstock
from headstock.trainer.trainer import Trainer

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


@pytest.mark.parametrize(
    "task", ["text-classification", "token-classification", "image-classification", "automatic-speech-recognition"]
)
def test_a_sample_trains_on_the_gpu(task: str, tmp_path: Path) -> None:
    result = headstock.run(task, {"trainer.epochs": 9, "trainer.max_steps": 20}, out=tmp_path / "run")
    assert result.training.steps == 20
    assert headstock.load(result.path, device="cuda").predict([]) == []


def test_nothing_waits_for_the_gpu_between_logged_steps(tmp_path: Path) -> None:
    options = {
        "trainer.epochs": 9,
        "trainer.max_steps": 5,
        "trainer.log_every": 1000,
        "trainer.cuda_graphs": False,  # test_recorded.py has the replayed ones
        "data.limit": 60,
    }
    original = Trainer._update

    def strict(self: Trainer, *arguments: object) -> None:
        torch.cuda.set_sync_debug_mode("error")
        try:
            original(self, *arguments)  # type: ignore[arg-type]
        finally:
            torch.cuda.set_sync_debug_mode("default")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_update", strict)
        headstock.run("image-classification", options, out=tmp_path / "images")
        headstock.run("text-classification", options, out=tmp_path / "texts")


def test_predictions_of_the_gpu_are_in_the_callers_order(tmp_path: Path) -> None:
    options = {"trainer.epochs": 2, "trainer.precision": "fp32"}
    result = headstock.run("text-classification", options, out=tmp_path / "run")
    texts = [f"{'words and ' * (number * 7 % 40)}lists sockets files {number}" for number in range(200)]
    found = {device: headstock.load(result.path, device=device).predict(texts) for device in ("cpu", "cuda")}
    rows = {
        device: [{each["label"]: each["score"] for each in prediction} for prediction in predictions]
        for device, predictions in found.items()
    }
    assert len({tuple(row.values()) for row in rows["cpu"]}) > 150  # so that another order would be seen
    for ours, theirs in zip(rows["cuda"], rows["cpu"], strict=True):
        assert ours == pytest.approx(theirs, abs=2e-5)
