from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from headstock import HeadstockError
from headstock.trainer.progress.training_log import TrainingLog


def write_steps(log: TrainingLog, *steps: int) -> None:
    for step in steps:
        log.metrics("train", step, 0, {"loss": 1.0 / step})
        log.speed(step, {"examples_per_second": 5.0})


def steps_of(path: Path) -> list[int]:
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def test_going_on_drops_later_metrics_and_speeds(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path, tensorboard=False)
    write_steps(log, 1, 2)
    log.flush()
    size = log.size
    write_steps(log, 3)
    with (tmp_path / "speed.jsonl").open("a") as stream:
        stream.write('{"step": 1')
    log.close()
    log = TrainingLog(tmp_path, tensorboard=False, keep_bytes=size)
    assert log.size == size
    write_steps(log, 3, 4)
    for name in ("metrics.jsonl", "speed.jsonl"):
        assert steps_of(tmp_path / name) == [1, 2, 3, 4]


def test_starting_anew_drops_all(tmp_path: Path) -> None:
    write_steps(TrainingLog(tmp_path, tensorboard=False), 1, 2)
    write_steps(TrainingLog(tmp_path, tensorboard=False), 1)
    for name in ("metrics.jsonl", "speed.jsonl"):
        assert steps_of(tmp_path / name) == [1]


def test_metrics_shorter_than_the_checkpoint_says_are_an_error(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path, tensorboard=False)
    write_steps(log, 1, 2)
    content = (tmp_path / "metrics.jsonl").read_bytes()
    (tmp_path / "metrics.jsonl").write_bytes(content[:-5])
    with pytest.raises(HeadstockError, match=rf"metrics.jsonl has {len(content) - 5} bytes.*{len(content)}.*--force"):
        TrainingLog(tmp_path, tensorboard=False, keep_bytes=len(content))
    assert (tmp_path / "metrics.jsonl").read_bytes() == content[:-5]


def test_metrics_that_are_others_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(b"\0" * 100)
    with pytest.raises(HeadstockError, match=r"metrics.jsonl is not what was written.*--force"):
        TrainingLog(tmp_path, tensorboard=False, keep_bytes=50)


def test_figures_that_are_not_finite_are_null(tmp_path: Path) -> None:
    def refuse(name: str) -> Any:
        raise AssertionError(f"{name} is not JSON")

    TrainingLog(tmp_path, tensorboard=False).metrics("validation", 1, 0, {"loss": math.inf, "f1": math.nan, "a": 0.5})
    record = json.loads((tmp_path / "metrics.jsonl").read_text(), parse_constant=refuse)
    assert record == {"kind": "validation", "step": 1, "epoch": 0, "loss": None, "f1": None, "a": 0.5}


def test_tensorboard_hides_events_after_the_checkpoint(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = TrainingLog(tmp_path, tensorboard=True)
    write_steps(log, 1, 2)
    size = log.size
    write_steps(log, 3, 4)
    log.close()
    log = TrainingLog(tmp_path, tensorboard=True, keep_bytes=size)
    write_steps(log, 3)
    log.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3]
