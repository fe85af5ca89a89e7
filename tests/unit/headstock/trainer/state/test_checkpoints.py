"""Checkpoints on a disk that is full, cannot be written, or does not keep what was written."""

from __future__ import annotations

import errno
import io
import os
import random
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from headstock import HeadstockError
from headstock.atomic import WriteError
from headstock.console import Console
from headstock.interfaces import Batch
from headstock.trainer.progress.stop_signal import InterruptedRunError
from headstock.trainer.state.best_so_far import BestSoFar
from headstock.trainer.state.checkpoints import BEST, OPTIMIZER, CheckpointFolder, TrainerState
from headstock.trainer.trainer import Trainer

Make = Callable[..., tuple[nn.Module, Trainer]]
Collate = Callable[[Any], Batch]
FILES = ("model.safetensors", "optimizer.safetensors", "best.safetensors", "checkpoint.json")


def state(step: int) -> TrainerState:
    best = BestSoFar(metric="loss", better="lower", value=0.1 + step, loss=float("inf"), step=step)
    return TrainerState(step=step, epoch=3, batch=step, loss_total=1 / 3, loss_count=7.0, best=best)


def tensors(step: int) -> dict[str, torch.Tensor]:
    return {"weight": torch.full((50,), float(step)), "bias": torch.arange(10) + step}


@pytest.fixture
def folder(tmp_path: Path) -> CheckpointFolder:
    """Checkpoints of steps 3 and 4; the best weights are those of step 2."""
    checkpoints = CheckpointFolder(tmp_path / "checkpoints")
    for step in (1, 2, 3, 4):
        checkpoints.save(state(step), tensors(step), tensors(step + 100), is_best=step == 2)
    return CheckpointFolder(tmp_path / "checkpoints")


def flip(path: Path, position: int, bit: int = 0) -> None:
    """Change one bit of a file where it lies."""
    with path.open("rb+") as stream:
        stream.seek(position)
        byte = stream.read(1)[0]
        stream.seek(position)
        stream.write(bytes([byte ^ 1 << bit]))


def test_the_newest_two_are_kept_with_the_best_weights(folder: CheckpointFolder) -> None:
    assert folder.steps() == [3, 4]
    assert folder.newest() == (state(4), [])
    for step in (3, 4):
        assert sorted(path.name for path in (folder.folder / f"step-{step:08d}").iterdir()) == sorted(FILES)
        assert torch.equal(folder.read(step, BEST)["weight"], tensors(2)["weight"])
        assert torch.equal(folder.read(step, OPTIMIZER)["weight"], tensors(step + 100)["weight"])


def test_each_flipped_bit_is_seen(folder: CheckpointFolder) -> None:
    newest = folder.folder / "step-00000004"
    rng = random.Random(0)
    for name in FILES:
        size = (newest / name).stat().st_size
        positions = range(size) if name == "checkpoint.json" else [0, 7, 8, size - 1, *rng.choices(range(size), k=20)]
        for position in positions:
            bit = rng.randrange(8)
            flip(newest / name, position, bit)
            found, problems = folder.newest()
            assert (found, len(problems)) == (state(3), 1), (name, position, bit)
            assert problems[0] == f"checkpoint step-00000004 is damaged ({name} is not what was written)"
            flip(newest / name, position, bit)
    assert folder.newest() == (state(4), [])


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_short_or_missing_is_seen(folder: CheckpointFolder, name: str) -> None:
    file = folder.folder / "step-00000004" / name
    content = file.read_bytes()
    for size in (0, 1, len(content) // 2, len(content) - 1):
        os.truncate(file, size)
        found, problems = folder.newest()
        assert found == state(3)
        assert problems == [f"checkpoint step-00000004 is damaged ({name} is not what was written)"]
    file.unlink()
    found, problems = folder.newest()
    assert found == state(3)
    assert problems == [f"checkpoint step-00000004 is damaged ({name}: No such file or directory)"]


def test_all_damaged_is_an_error_that_names_each(folder: CheckpointFolder) -> None:
    for step in (3, 4):
        flip(folder.folder / f"step-{step:08d}/checkpoint.json", 30)
    with pytest.raises(HeadstockError, match=r"no sound checkpoint in .*-00000004 .*-00000003 .*; start again"):
        folder.newest()


def test_damaged_best_weights_are_not_handed_on(folder: CheckpointFolder) -> None:
    # Later checkpoints take the best weights over: the damaged file must not pass for sound in any of them.
    assert folder.newest()[0] == state(4)
    flip(folder.folder / "step-00000004/best.safetensors", 300)
    with pytest.raises(HeadstockError, match=r"step-00000004/best.safetensors is not what was written; --resume"):
        folder.read(4, BEST)
    for step in (5, 6, 7, 8):
        folder.save(state(step), tensors(step), tensors(step + 100), is_best=False)
        found, _ = CheckpointFolder(folder.folder).newest()
        assert found is not None
        assert found.step >= step - 1
        assert torch.equal(folder.read(found.step, BEST)["weight"], tensors(2)["weight"])


def test_other_folders_are_left_alone(folder: CheckpointFolder) -> None:
    (folder.folder / "step-00000004 (copy)").mkdir()
    assert folder.newest() == (state(4), [])
    folder.discard_after(3)
    assert folder.steps() == [3]


def interrupted_at_ten(make_trainer: Make, collate: Collate) -> None:
    """Train ``run`` up to step 10, and ``straight`` to the end."""
    make_trainer("straight")[1].fit()
    calls = 0

    def stopping(indices: Any) -> Batch:
        nonlocal calls
        calls += 1
        if calls == 10:
            os.kill(os.getpid(), signal.SIGTERM)
        return collate(indices)

    with pytest.raises(InterruptedRunError):
        make_trainer("run", collate=stopping)[1].fit()


def assert_ends_like_the_straight_run(make_trainer: Make, tmp_path: Path) -> None:
    module, trainer = make_trainer("run")
    trainer.resume()
    assert trainer.fit().steps == 40
    straight, trainer = make_trainer("straight")
    trainer.resume()
    trainer.fit()
    assert all(torch.equal(value, module.state_dict()[name]) for name, value in straight.state_dict().items())
    logs = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("straight", "run")]
    assert logs[0] == logs[1]


def test_a_file_that_cannot_grow(
    make_trainer: Make, collate: Collate, tmp_path: Path, largest_file: Callable[[int], AbstractContextManager[None]]
) -> None:
    interrupted_at_ten(make_trainer, collate)
    content = {path: path.read_bytes() for path in (tmp_path / "run/checkpoints").rglob("*") if path.is_file()}
    for size in (1000, 2000):
        _, trainer = make_trainer("run")
        trainer.resume()
        with pytest.raises(WriteError) as raised, largest_file(size):
            trainer.fit()
        assert str(raised.value).startswith(f"cannot write {tmp_path}/run/checkpoints/.step-00000020.")
        assert "File too large" in str(raised.value)
        assert "the checkpoint of step 10 is kept; when that is put right: headstock run somewhere --resume" in str(
            raised.value
        )
        found = {path: path.read_bytes() for path in (tmp_path / "run/checkpoints").rglob("*") if path.is_file()}
        assert found == content
    assert_ends_like_the_straight_run(make_trainer, tmp_path)


@pytest.mark.parametrize("what", ["fsync", "mkdir", "rename"])
def test_a_full_disk_at_any_moment(
    make_trainer: Make, collate: Collate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    interrupted_at_ten(make_trainer, collate)
    original = getattr(os, what)
    left = 0

    def filling(*arguments: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(*arguments, **options)

    said: list[str] = []
    for number in range(1, 30):
        step = CheckpointFolder(tmp_path / "run/checkpoints").steps()[-1]
        _, trainer = make_trainer("run")
        trainer.resume()
        left = number
        monkeypatch.setattr(os, what, filling)
        try:
            trainer.fit()
        except WriteError as error:
            said.append(str(error))
        monkeypatch.setattr(os, what, original)
        found, problems = CheckpointFolder(tmp_path / "run/checkpoints").newest()
        assert found is not None
        assert (found.step >= step, problems) == (True, [])
        if left > 0:
            break
        assert not list((tmp_path / "run/checkpoints").glob(".*"))
    assert said
    assert all("No space left on device" in line for line in said)
    assert_ends_like_the_straight_run(make_trainer, tmp_path)


def test_a_folder_that_cannot_be_written(make_trainer: Make, tmp_path: Path) -> None:
    _, trainer = make_trainer()
    (tmp_path / "run/checkpoints").write_text("a file in the way")
    with pytest.raises(WriteError, match=r"^cannot write .*checkpoints.*no checkpoint was written yet; when that is"):
        trainer.fit()


def test_what_is_passed_over_is_said(make_trainer: Make, tmp_path: Path) -> None:
    make_trainer()[1].fit()
    flip(tmp_path / "run/checkpoints/step-00000040/checkpoint.json", 30)
    screen = io.StringIO()
    _, trainer = make_trainer(console=Console(stream=screen))
    trainer.resume()
    assert screen.getvalue().splitlines() == [
        "warning: checkpoint step-00000040 is damaged (checkpoint.json is not what was written); using the one before",
        "resuming at step 30 of 40",
    ]
