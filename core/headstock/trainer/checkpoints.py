"""Checkpoints on disk: written beside and renamed, checked by digest when read, the last two kept."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from headstock.atomic import explain_write_errors, new_directory, write_text
from headstock.trainer.stopping import BestSoFar
from headstock_registry import HeadstockError

KEPT = 2
"""Checkpoints kept: the newest, and the one before in case the newest turns out damaged."""

MODEL, OPTIMIZER, BEST = "model.safetensors", "optimizer.safetensors", "best.safetensors"
STATE = "checkpoint.json"


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

    def text(self) -> str:
        """Return the file's content, which ends in a checksum of the rest."""
        content = self.model_dump()
        checksum = hashlib.blake2b(json.dumps(content).encode(), digest_size=16).hexdigest()
        return json.dumps({**content, "checksum": checksum}, indent=2) + "\n"

    @classmethod
    def read(cls, folder: Path) -> Checkpoint:
        """Read the file in a checkpoint's folder.

        Raises:
            OSError: it cannot be read.
            ValueError: it is not, to the last byte, what was written.
        """
        text = (folder / STATE).read_bytes().decode()
        content = json.loads(text)
        if not isinstance(content, dict):
            raise ValueError("no JSON object")
        content.pop("checksum", None)
        checkpoint = cls.model_validate(content)
        if checkpoint.text() != text:
            raise ValueError("another checksum")
        return checkpoint


class CheckpointFolder:
    """Reads and writes the checkpoints of one run.

    Each checkpoint is a folder of its own with all that is needed to go on, the best weights so far included. No two
    that are kept share a file, so that what damages one leaves the other as it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._best_digests: dict[int, str | None] = {}

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
        earlier = [step for step in self.steps() if step != state.step]
        with new_directory(self._path(state.step)) as path, explain_write_errors(path):
            _save(model, path / MODEL)
            _save(optimizer, path / OPTIMIZER)
            digests = {name: _digest(path / name) for name in (MODEL, OPTIMIZER)}
            if is_best:
                _link(path / MODEL, path / BEST)
                digests[BEST] = digests[MODEL]
            elif best := self._take_best(earlier, path / BEST):
                digests[BEST] = best
            write_text(path / STATE, Checkpoint(state=state, digests=digests).text())
        self._best_digests[state.step] = digests.get(BEST)
        with explain_write_errors(self.folder):
            for step in [*earlier, state.step][:-KEPT]:
                shutil.rmtree(self._path(step))

    def newest(self) -> tuple[TrainerState | None, list[str]]:
        """Return the state of the newest sound checkpoint, and a line for each damaged one that was passed over.

        Raises:
            HeadstockError: there are checkpoints, and all are damaged.
        """
        problems: list[str] = []
        for step in reversed(self.steps()):
            checkpoint, problem = _check(self._path(step))
            if checkpoint is not None:
                self._best_digests[step] = checkpoint.digests.get(BEST)
                return checkpoint.state, problems
            problems.append(f"checkpoint {self._path(step).name} is damaged ({problem})")
        if problems:
            raise HeadstockError(
                f"no sound checkpoint in {self.folder}: {'; '.join(problems)}; start again with --force"
            )
        return None, []

    def discard_after(self, step: int) -> None:
        """Delete the checkpoints after ``step``, and what a save that was killed left behind.

        A run that goes on from ``step`` makes them anew; until then nothing may be taken from them.
        """
        later = [self._path(found) for found in self.steps() if found > step]
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
        """Return the best model tensors as of a checkpoint.

        Raises:
            HeadstockError: they are not what was written.
        """
        # Between the day they were written and the end of a run the disk had time to change them.
        path = self._path(step) / BEST
        if _digest(path) != self._best_digest(step):
            raise HeadstockError(f"{path} is not what was written; --resume goes on from the checkpoint before")
        return load_file(path)

    def steps(self) -> list[int]:
        """Return the steps at which there is a checkpoint, damaged or not, in order."""
        names = (re.fullmatch(r"step-(\d+)", path.name) for path in self.folder.glob("step-*"))
        return sorted(int(name[1]) for name in names if name)

    def remove(self) -> None:
        """Delete all checkpoints."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}"

    def _take_best(self, earlier: list[int], path: Path) -> str | None:
        """Put the best weights so far at ``path`` and return the digest with which they were first written.

        The last checkpoint keeps its own file. Of an older one, which goes when this one is there, it is taken over.
        """
        if not earlier or (digest := self._best_digest(earlier[-1])) is None:
            return None
        older = [step for step in earlier[:-1] if self._best_digest(step) == digest]
        if older:
            _link(self._path(older[-1]) / BEST, path)
        else:
            shutil.copyfile(self._path(earlier[-1]) / BEST, path)
        return digest

    def _best_digest(self, step: int) -> str | None:
        if step not in self._best_digests:
            try:
                self._best_digests[step] = Checkpoint.read(self._path(step)).digests.get(BEST)
            except (OSError, ValueError):
                self._best_digests[step] = None
        return self._best_digests[step]


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


def _check(path: Path) -> tuple[Checkpoint | None, str]:
    """Return a checkpoint if all its files are what was written, else what is wrong with it."""
    try:
        checkpoint = Checkpoint.read(path)
    except OSError as error:
        return None, f"{STATE}: {error.strerror}"
    except ValueError:
        return None, f"{STATE} is not what was written"
    for name, digest in checkpoint.digests.items():
        try:
            if _digest(path / name) != digest:
                return None, f"{name} is not what was written"
        except OSError as error:
            return None, f"{name}: {error.strerror}"
    return checkpoint, ""
