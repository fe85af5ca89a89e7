"""Checkpoints of sharded tensors, here by the only rank, elsewhere by two processes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from headstock import HeadstockError
from headstock.atomic import WriteError
from headstock.distributed import ALONE, Ranks
from headstock.trainer.state import sharded_files
from headstock.trainer.state.best_so_far import BestSoFar
from headstock.trainer.state.checkpoints import BEST, MODEL, OPTIMIZER, CheckpointFolder, TrainerState
from headstock.trainer.state.sharded_files import read_shards

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled:UserWarning")

SHARD = "shard-00001-model-00001-of-00001.safetensors"


def state(step: int) -> TrainerState:
    return TrainerState(step=step, best=BestSoFar(metric="loss", better="lower", step=step))


def tensors(step: int) -> dict[str, Tensor]:
    return {"weight": torch.arange(500.0).view(50, 10) + step, "count": torch.tensor(step), "none": torch.empty(0, 3)}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def save(folder: CheckpointFolder, step: int, is_best: bool) -> None:
    folder.save_shards(state(step), tensors(step), tensors(step + 100), is_best, ALONE)


@pytest.fixture
def folder(tmp_path: Path) -> CheckpointFolder:
    """Checkpoints of steps 2 and 3; the best weights are those of step 1."""
    checkpoints = CheckpointFolder(tmp_path / "checkpoints")
    for step in (1, 2, 3):
        save(checkpoints, step, is_best=step == 1)
    return CheckpointFolder(tmp_path / "checkpoints")


def test_what_was_written_is_read(folder: CheckpointFolder) -> None:
    assert folder.newest() == (state(3), [])
    for part in (MODEL, OPTIMIZER, BEST):
        assert folder.shards(3, part) == [folder.folder / "step-00000003" / part / SHARD]
    assert_same(folder.read(3, MODEL), tensors(3))
    assert_same(folder.read(3, OPTIMIZER), tensors(103))
    assert_same(folder.read(3, BEST), tensors(1))


@pytest.mark.parametrize("part", [MODEL, OPTIMIZER, BEST])
def test_a_damaged_shard_is_passed_over(folder: CheckpointFolder, part: str) -> None:
    file = folder.folder / "step-00000003" / part / SHARD
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    found, problems = folder.newest()
    assert found == state(2)
    assert problems == [f"checkpoint step-00000003 is damaged ({part}/{SHARD} is not what was written)"]
    file.unlink()
    found, problems = folder.newest()
    assert found == state(2)
    assert problems == [f"checkpoint step-00000003 is damaged ({part}/{SHARD}: No such file or directory)"]


def test_damaged_best_weights_are_not_handed_on(folder: CheckpointFolder) -> None:
    assert folder.newest()[0] == state(3)
    file = folder.folder / "step-00000003" / BEST / SHARD
    file.write_bytes(file.read_bytes()[:-1])
    for read in (folder.read, folder.shards):
        with pytest.raises(HeadstockError, match=f"{BEST}/{SHARD} is not what was written; --resume"):
            read(3, BEST)
    file.unlink()
    with pytest.raises(HeadstockError, match=f"{BEST}/{SHARD} is not what was written; --resume"):
        folder.read(3, BEST)


def test_best_weights_go_over_from_shards_to_whole_tensors_and_back(folder: CheckpointFolder) -> None:
    folder.save(state(4), tensors(4), tensors(104), is_best=False)
    assert_same(folder.read(4, BEST), tensors(1))
    assert folder.shards(4, MODEL) == []
    folder.save(state(5), tensors(5), tensors(105), is_best=True)
    save(folder, 6, is_best=False)
    assert folder.shards(6, BEST) == []
    assert CheckpointFolder(folder.folder).newest() == (state(6), [])
    assert_same(folder.read(6, BEST), tensors(5))
    save(folder, 7, is_best=True)
    assert_same(folder.read(7, BEST), tensors(7))


def test_a_file_that_cannot_grow(
    folder: CheckpointFolder, largest_file: Callable[[int], AbstractContextManager[None]]
) -> None:
    with pytest.raises(WriteError, match=r"^cannot write .*step-00000004.*: File too large$"), largest_file(1000):
        save(folder, 4, is_best=True)
    assert folder.newest() == (state(3), [])
    assert sorted(path.name for path in folder.folder.iterdir()) == ["step-00000002", "step-00000003"]


class Elsewhere(Ranks):
    """A rank on a machine that does not have the first one's disk."""

    def from_first(self, make: Callable[[], Any]) -> Any:
        return "/nowhere/step-00000004"


def test_a_rank_without_the_folder_says_so(folder: CheckpointFolder) -> None:
    with pytest.raises(HeadstockError, match=r"^/nowhere/step-00000004 is not there; with trainer.fsdp all ranks need"):
        folder.save_shards(state(4), tensors(4), tensors(104), is_best=True, ranks=Elsewhere())


@pytest.mark.parametrize("found", [[], [SHARD, "shard-00002-model-00001-of-00001.safetensors"]])
def test_a_rank_that_sees_other_files_says_so(folder: CheckpointFolder, found: list[str]) -> None:
    (file,) = folder.shards(3, MODEL)
    content = file.read_bytes()
    file.unlink()
    for name in found:
        file.with_name(name).write_bytes(content)
    with pytest.raises(HeadstockError, match=r"step-00000003/model does not hold what the ranks wrote; with trainer.f"):
        read_shards([file], lambda _: {})


def test_a_file_that_cannot_be_read_is_one_line(folder: CheckpointFolder) -> None:
    (file,) = folder.shards(3, MODEL)
    file.write_bytes(b"no safetensors at all")
    with pytest.raises(HeadstockError, match=r"^cannot read .*/step-00000003/model: .*") as raised:
        read_shards([file], lambda _: {})
    assert "\n" not in str(raised.value)


def test_an_interrupt_while_reading_stays_one(folder: CheckpointFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sharded_files.HuggingFaceStorageReader, "read_data", interrupted)
    with pytest.raises(KeyboardInterrupt):
        folder.read(3, MODEL)
