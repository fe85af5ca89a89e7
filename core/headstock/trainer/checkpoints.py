"""Checkpoints on disk: written beside and renamed, checked by digest when read, the last two kept."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from headstock.atomic import explain_write_errors, new_directory, write_json
from headstock.trainer.stopping import BestSoFar
from headstock_registry import HeadstockError

KEPT = 2
"""Checkpoints kept: the newest, and the one before in case the newest turns out damaged."""

MODEL, OPTIMIZER, BEST = "model.safetensors", "optimizer.safetensors", "best.safetensors"


class TrainerState(BaseModel):
    """Where training stands, between two optimizer steps. Random state is not in it: it follows from seed and step."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: int = 0
    epoch: int = 0
    batch: int = 0
    loss_total: float = 0.0
    loss_count: float = 0.0
    skipped: int = 0
    skipped_in_a_row: int = 0
    cost_limit: int | None = None
    log_bytes: int = 0
    best: BestSoFar
    finished: bool = False


class Checkpoint(BaseModel):
    """What ``checkpoint.json`` holds: the state, and a digest of each file beside it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: TrainerState
    digests: dict[str, str]


class CheckpointFolder:
    """Reads and writes the checkpoints of one run.

    Each checkpoint is a folder of its own with all that is needed to go on, the best weights so far included (as a
    hard link where the file system has them).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, state: TrainerState, model: dict[str, Tensor], optimizer: dict[str, Tensor], is_best: bool) -> None:
        """Write a checkpoint and drop the oldest.

        Args:
            state: Where training stands.
            model: Tensors that training changes.
            optimizer: The optimizer's tensors.
            is_best: Whether this checkpoint's weights are the best so far; otherwise the last checkpoint's best stay.

        Raises:
            WriteError: the folder cannot be written; the last checkpoint is untouched.
        """
        earlier = self._steps()
        with new_directory(self._path(state.step)) as path, explain_write_errors(path):
            _save(model, path / MODEL)
            _save(optimizer, path / OPTIMIZER)
            if is_best:
                _link(path / MODEL, path / BEST)
            elif earlier and (self._path(earlier[-1]) / BEST).exists():
                _link(self._path(earlier[-1]) / BEST, path / BEST)
            digests = {file.name: _digest(file) for file in sorted(path.iterdir())}
            write_json(path / "checkpoint.json", Checkpoint(state=state, digests=digests).model_dump(mode="json"))
        for step in [*[step for step in earlier if step != state.step], state.step][:-KEPT]:
            shutil.rmtree(self._path(step))

    def newest(self) -> tuple[TrainerState | None, list[str]]:
        """Return the state of the newest sound checkpoint, and a line for each damaged one that was passed over.

        Raises:
            HeadstockError: there are checkpoints, and all are damaged.
        """
        problems: list[str] = []
        for step in reversed(self._steps()):
            path = self._path(step)
            problem = _problem(path)
            if problem is None:
                return Checkpoint.model_validate_json((path / "checkpoint.json").read_text("utf-8")).state, problems
            problems.append(f"checkpoint {path.name} is damaged ({problem}); using the one before")
        if problems:
            raise HeadstockError(f"no sound checkpoint in {self.folder}: {problems[0]}; start again with --force")
        return None, []

    def discard_after(self, step: int) -> None:
        """Delete the checkpoints after ``step``, and what a save that was killed left behind.

        A run that goes on from ``step`` makes them anew; until then nothing may be taken from them.
        """
        later = [self._path(found) for found in self._steps() if found > step]
        with explain_write_errors(self.folder):
            for path in [*later, *self.folder.glob(".step-*.tmp")]:
                shutil.rmtree(path)

    def model(self, step: int) -> dict[str, Tensor]:
        """Return the model tensors of a checkpoint."""
        return load_file(self._path(step) / MODEL)

    def optimizer(self, step: int) -> dict[str, Tensor]:
        """Return the optimizer tensors of a checkpoint."""
        return load_file(self._path(step) / OPTIMIZER)

    def best(self, step: int) -> dict[str, Tensor]:
        """Return the best model tensors as of a checkpoint."""
        return load_file(self._path(step) / BEST)

    def remove(self) -> None:
        """Delete all checkpoints."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}"

    def _steps(self) -> list[int]:
        return sorted(int(path.name.removeprefix("step-")) for path in self.folder.glob("step-*"))


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    try:
        save_file({name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}, path)
    except SafetensorError as error:
        raise OSError(None, str(error), str(path)) from error


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _problem(path: Path) -> str | None:
    """Say what is wrong with a checkpoint, or return None."""
    try:
        checkpoint = Checkpoint.model_validate_json((path / "checkpoint.json").read_text("utf-8"))
        for name, digest in checkpoint.digests.items():
            if _digest(path / name) != digest:
                return f"{name} is not what was written"
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    except ValidationError:
        return "checkpoint.json cannot be read"
    return None
