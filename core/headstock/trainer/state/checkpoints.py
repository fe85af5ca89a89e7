"""Checkpoints on disk: written beside and renamed, checked by digest when read, the last two kept."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from headstock.atomic import explain_write_errors, new_directory, write_text
from headstock.digests import damage, file_digest, seal, unseal
from headstock.distributed import ONE_DISK, Ranks
from headstock.trainer.state.best_so_far import BestSoFar
from headstock_registry import HeadstockError

KEPT = 2
"""Checkpoints kept: the newest, and the one before in case the newest turns out damaged."""

MODEL, OPTIMIZER, BEST = "model", "optimizer", "best"
"""Parts of a checkpoint: a file of whole tensors (``model.safetensors``), or a folder of what the ranks wrote."""

SUFFIX = ".safetensors"
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
    seconds: float = 0.0
    out_of_time: bool = False


class Checkpoint(BaseModel):
    """What ``checkpoint.json`` holds: the state, and a digest of each file beside it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: TrainerState
    digests: dict[str, str]

    def text(self) -> str:
        """Return the file's content, which ends in a checksum of the rest."""
        return seal(self.model_dump())

    @classmethod
    def read(cls, folder: Path) -> Checkpoint:
        """Read the file in a checkpoint's folder.

        Raises:
            OSError: it cannot be read.
            ValueError: it is not, to the last byte, what was written.
        """
        return cls.model_validate(unseal((folder / STATE).read_bytes()))


class CheckpointFolder:
    """Reads and writes the checkpoints of one run.

    Each checkpoint is a folder of its own with all that is needed to resume, the best weights so far included. No two
    that are kept share a file, so that what damages one leaves the other as it is.

    Args:
        folder: Where they go; it may not exist yet.
        before_writing: Called before a checkpoint is written; raises if it must not be.
    """

    def __init__(self, folder: Path, before_writing: Callable[[], None] = lambda: None) -> None:
        self.folder = folder
        self._before_writing = before_writing
        self._digests: dict[int, dict[str, str]] = {}

    def save(self, state: TrainerState, model: dict[str, Tensor], optimizer: dict[str, Tensor], is_best: bool) -> None:
        """Write a checkpoint of whole tensors and drop the oldest.

        Args:
            state: Where training stands.
            model: Tensors that training changes.
            optimizer: The optimizer's tensors.
            is_best: Whether this checkpoint's weights are the best so far; otherwise the last checkpoint's best stay.

        Raises:
            WriteError: the folder cannot be written; the last checkpoint is untouched.
        """
        with self._new(state, is_best) as (path, digests):
            for part, tensors in ((MODEL, model), (OPTIMIZER, optimizer)):
                _save(tensors, path / f"{part}{SUFFIX}")
                digests[part + SUFFIX] = file_digest(path / f"{part}{SUFFIX}")

    def save_shards(
        self,
        state: TrainerState,
        model: Mapping[str, Tensor],
        optimizer: Mapping[str, Tensor],
        is_best: bool,
        ranks: Ranks,
    ) -> None:
        """Write a checkpoint of sharded tensors, each rank its shards; all take part.

        Args:
            state, model, optimizer, is_best: As for :meth:`save`.
            ranks: The processes of the run, which have this folder on one disk.

        Raises:
            WriteError: a rank cannot write; the last checkpoint is untouched.
            HeadstockError: a rank does not have this folder.
        """
        from headstock.trainer.state.sharded_files import write_shards

        with ExitStack() as stack:
            digests: dict[str, str] = {}

            def begin() -> str:
                nonlocal digests
                path, digests = stack.enter_context(self._new(state, is_best))
                return str(path)

            path = Path(ranks.from_first(begin))
            if not path.is_dir():
                raise HeadstockError(f"{path} is not there; {ONE_DISK}")
            with explain_write_errors(path):
                parts = ((MODEL, model), (OPTIMIZER, optimizer))
                files = [file for part, tensors in parts for file in write_shards(tensors, path / part, ranks.rank)]
                found = {file.relative_to(path).as_posix(): file_digest(file) for file in files}
            for each in ranks.gather(found) or []:
                digests.update(each)
            ranks.from_first(stack.close)

    @contextmanager
    def _new(self, state: TrainerState, is_best: bool) -> Iterator[tuple[Path, dict[str, str]]]:
        """Give a folder to write model and optimizer to, and a mapping for the digests of their files.

        On leaving without error the rest is written, the folder becomes a checkpoint, and the oldest is dropped.
        """
        self._before_writing()
        earlier = [step for step in self.steps() if step != state.step]
        with new_directory(self._path(state.step)) as path, explain_write_errors(path):
            digests: dict[str, str] = {}
            yield path, digests
            if is_best:
                best = {BEST + name.removeprefix(MODEL): name for name in digests if _part(name) == MODEL}
                for name, source in best.items():
                    _link(path / source, path / name)
                digests |= {name: digests[source] for name, source in best.items()}
            else:
                digests |= self._take_best(earlier, path)
            write_text(path / STATE, Checkpoint(state=state, digests=digests).text())
        self._digests[state.step] = digests
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
                self._digests[step] = checkpoint.digests
                return checkpoint.state, problems
            problems.append(f"checkpoint {self._path(step).name} is damaged ({problem})")
        if problems:
            raise HeadstockError(
                f"no sound checkpoint in {self.folder}: {'; '.join(problems)}; start again with --force"
            )
        return None, []

    def discard_after(self, step: int) -> None:
        """Delete the checkpoints after ``step``, and what a save that was killed left behind.

        A run that resumes from ``step`` makes them anew; until then nothing may be taken from them.
        """
        later = [self._path(found) for found in self.steps() if found > step]
        with explain_write_errors(self.folder):
            for path in [*later, *self.folder.glob(".step-*.tmp")]:
                shutil.rmtree(path)

    def read(self, step: int, part: str) -> dict[str, Tensor]:
        """Return a part of a checkpoint in whole tensors.

        Raises:
            HeadstockError: the part is the best weights, and they are not what was written.
        """
        shards = self.shards(step, part)
        if not shards:
            return load_file(self._path(step) / f"{part}{SUFFIX}")
        from headstock.trainer.state.sharded_files import read_shards

        return read_shards(shards, lambda _: {})

    def shards(self, step: int, part: str) -> list[Path]:
        """Return the files that the ranks wrote for a part of a checkpoint; none if it was written as whole tensors.

        Raises:
            HeadstockError: the part is the best weights, and they are not what was written.
        """
        if part == BEST:
            self._check_best(step)
        names = [name for name in self._digests_of(step) if "/" in name and _part(name) == part]
        return [self._path(step) / name for name in names]

    def _check_best(self, step: int) -> None:
        # Between the day they were written and the end of a run the disk had time to change them.
        digests = _of_best(self._digests_of(step))
        for name, digest in digests.items():
            if damage(self._path(step), {name: digest}) is not None:
                raise HeadstockError(
                    f"{self._path(step) / name} is not what was written; --resume starts from the checkpoint before"
                )
        if not digests:
            raise HeadstockError(f"{self._path(step)} does not have the best weights; start again with --force")

    def steps(self) -> list[int]:
        """Return the steps at which there is a checkpoint, damaged or not, in order."""
        names = (re.fullmatch(r"step-(\d+)", path.name) for path in self.folder.glob("step-*"))
        return sorted(int(name[1]) for name in names if name)

    def remove(self) -> None:
        """Delete all checkpoints."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}"

    def _take_best(self, earlier: list[int], path: Path) -> dict[str, str]:
        """Put the best weights so far into the folder ``path``, and return the digests with which they were written.

        The last checkpoint keeps its own files. Those of an older one, which goes when this one is there, are taken
        over.
        """
        digests = _of_best(self._digests_of(earlier[-1])) if earlier else {}
        older = [step for step in earlier[:-1] if _of_best(self._digests_of(step)) == digests]
        for name in digests:
            if older:
                _link(self._path(older[-1]) / name, path / name)
            else:
                _copy(self._path(earlier[-1]) / name, path / name)
        return digests

    def _digests_of(self, step: int) -> dict[str, str]:
        """Return the digests with which the files of a checkpoint were first written; none if it cannot be read."""
        if step not in self._digests:
            try:
                self._digests[step] = Checkpoint.read(self._path(step)).digests
            except (OSError, ValueError):
                self._digests[step] = {}
        return self._digests[step]


def _part(name: str) -> str:
    """Return the part of a checkpoint that a file belongs to."""
    return name.split("/", 1)[0].removesuffix(SUFFIX)


def _of_best(digests: Mapping[str, str]) -> dict[str, str]:
    return {name: digest for name, digest in digests.items() if _part(name) == BEST}


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    try:
        save_file({name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}, path)
    except SafetensorError as error:
        raise OSError(None, str(error), str(path)) from error


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(source, target)


def _check(path: Path) -> tuple[Checkpoint | None, str]:
    """Return a checkpoint if all its files are what was written, else what is wrong with it."""
    try:
        checkpoint = Checkpoint.read(path)
    except OSError as error:
        return None, f"{STATE}: {error.strerror}"
    except ValueError:
        return None, f"{STATE} is not what was written"
    problem = damage(path, checkpoint.digests)
    return (checkpoint, "") if problem is None else (None, problem)
