"""A run, an evaluation and a prediction in a memory that is too small for their batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import headstock
from headstock import HeadstockError
from headstock_text.backbones.textcnn import TextCnn

RECIPE = {
    "backbone": "textcnn",
    "data.limit": 60,
    "trainer.epochs": 2,
    "trainer.max_steps": 4,
    "trainer.batch_size": 16,
}


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many tokens fit; the model's own code runs out of memory above."""
    size = {"tokens": 10**9}
    encode = TextCnn.encode

    def tight(self: Any, embedded: torch.Tensor, inputs: Any) -> Any:
        if embedded.shape[0] * embedded.shape[1] > size["tokens"]:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return encode(self, embedded, inputs)

    monkeypatch.setattr(TextCnn, "encode", tight)
    return size


def test_a_run_continues_and_tells(room: dict[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    room["tokens"] = 220
    result = headstock.run("text-classification", RECIPE, out=tmp_path / "run", quiet=False)
    limit = result.training.cost_limit
    assert limit is not None
    assert 50 < limit <= 220
    said = capsys.readouterr().err
    assert f"batches of a cost above {limit} are done in pieces from now on, with the same gradient" in said
    assert "test before tuning: memory ran out" in said
    assert said.count("validate: memory ran out") <= 2  # twice in the first of two validations, then it is known
    assert f"Memory ran out: batches of a cost above {limit}" in (tmp_path / "run/README.md").read_text()

    texts = ["good"] * 3 + ["a rather long text about how bad all of it was in the end"] * 20 + ["bad"] * 9
    model = headstock.load(tmp_path / "run")
    room["tokens"] = 40
    cut = model.predict(texts)
    room["tokens"] = 10**9
    whole = model.predict(texts)
    for first, second in zip(cut, whole, strict=True):
        assert {label["label"]: label["score"] for label in first} == pytest.approx(
            {label["label"]: label["score"] for label in second}, abs=2e-6
        )
    assert len({str(prediction) for prediction in whole}) == 3
    room["tokens"] = 12
    with pytest.raises(HeadstockError, match=r"^input row 4 does not fit into memory, even in a batch of its own"):
        model.predict([*texts[:4], "bad"])


def test_a_row_that_does_not_fit_is_named(room: dict[str, int], tmp_path: Path) -> None:
    rows = [f"short text {number},{'yes' if number % 2 else 'no'}" for number in range(40)]
    rows[17] = "a text that is very much longer than all of the others,no"
    (tmp_path / "data.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    room["tokens"] = 9
    with pytest.raises(HeadstockError, match=r"data.csv row 18 does not fit into memory"):
        headstock.run("text-classification", {**RECIPE, "data.path": str(tmp_path / "data.csv")}, out=tmp_path / "run")
