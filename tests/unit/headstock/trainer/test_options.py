"""Trainer options that need a real component: each changes what it says and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import headstock

SMALL: dict[str, Any] = {
    "backbone": "textcnn",
    "data.limit": 40,
    "trainer.max_steps": 4,
    "trainer.log_every": 1,
    "trainer.device": "cpu",
}


def run(tmp_path: Path, name: str, **options: Any) -> headstock.RunResult:
    overrides = {**SMALL, **{key.replace("__", "."): value for key, value in options.items()}}
    return headstock.run("text-classification", overrides, out=tmp_path / name)


def losses(result: headstock.RunResult) -> list[float]:
    records = [json.loads(line) for line in (result.path / "metrics.jsonl").read_text().splitlines()]
    return [record["loss"] for record in records if record["kind"] == "train"]


def test_bf16_is_near_fp32(tmp_path: Path) -> None:
    exact = losses(run(tmp_path, "fp32", trainer__precision="fp32"))
    near = losses(run(tmp_path, "bf16", trainer__precision="bf16"))
    assert near != exact
    assert near == pytest.approx(exact, rel=0.05)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiling_gives_the_same_losses(tmp_path: Path) -> None:
    steady = {"task__dropout": 0.0, "backbone__dropout": 0.0, "backbone__word_dropout": 0.0}
    plain = losses(run(tmp_path, "plain", **steady))
    compiled = losses(run(tmp_path, "compiled", trainer__compile=True, **steady))
    assert compiled == pytest.approx(plain, rel=1e-3)


def test_a_backbone_without_gradient_checkpointing_says_so(tmp_path: Path) -> None:
    with pytest.raises(headstock.HeadstockError, match="gradient_checkpointing"):
        run(tmp_path, "run", trainer__gradient_checkpointing=True)


def test_tensorboard_events_are_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = run(tmp_path, "run", trainer__tensorboard=True)
    events = EventAccumulator(str(result.path / "tensorboard"))
    events.Reload()
    assert {"train/loss", "validation/accuracy", "speed/examples_per_second"} <= set(events.Tags()["scalars"])


def test_sharing_out_and_compiling_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(headstock.HeadstockError, match=r"trainer\.fsdp does not go together with trainer\.compile"):
        run(tmp_path, "both", trainer__fsdp=True, trainer__compile=True)
    assert not (tmp_path / "both").exists()


def test_one_process_says_that_there_is_nothing_to_shard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overrides = {**SMALL, "trainer.fsdp": True}
    headstock.run("text-classification", overrides, out=tmp_path / "run", quiet=False)
    assert "trainer.fsdp: there is one process, so nothing is sharded" in capsys.readouterr().err
