"""The run directory: named, locked, resumed or replaced, so that nothing on disk is lost by mistake."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from headstock.atomic import explain_write_errors, remove_leftovers, write_json, write_text
from headstock.digests import damage, file_digest, seal, unseal
from headstock.files import read_json, user_path
from headstock.recipe.resolve import ResolvedRecipe
from headstock.recipe.source import read_yaml
from headstock_registry import HeadstockError

RUNS = Path("runs")


class RunDirectory:
    """One run's folder and the paths in it.

    ``marker`` tells a run from any other folder that happens to hold files of the same names; only a folder that has it
    is ever resumed or replaced. It holds digests of files that a run reads again. Names that begin with a dot are for
    work in progress.
    """

    def __init__(self, path: Path) -> None:
        path = user_path(path)
        user_path(path / ".headstock-run")  # else it cannot be entered, or a name in it is too long
        self.path = path
        self._identity: tuple[int, int] | None = None
        self.marker = path / ".headstock-run"
        self.lock = path / ".lock"
        self.base = path / ".base"
        self.recipe = path / "recipe.yaml"
        self.data = path / "data.json"
        self.environment = path / "environment.json"
        self.before = path / "before.json"
        self.metrics = path / "metrics.jsonl"
        self.speed = path / "speed.jsonl"
        self.tensorboard = path / "tensorboard"
        self.checkpoints = path / "checkpoints"
        self.model = path / "model"
        self.predictions = path / "predictions.jsonl"
        self.plots = path / "plots"
        self.card = path / "README.md"
        self.results = path / "results.json"

    @property
    def finished(self) -> bool:
        """Whether the run has its results."""
        return self.results.exists()

    @property
    def started(self) -> bool:
        """Whether there is something in the folder besides work in progress."""
        if not self.path.is_dir():
            return self.path.exists()
        return self.marker.exists() or any(not entry.name.startswith(".") for entry in self.path.iterdir())

    def hold(self) -> Self:
        """Remember which folder is here now, for :meth:`require_held`."""
        self._identity = self._found()
        return self

    @property
    def held(self) -> bool:
        """Whether the folder of :meth:`hold` is still here; true if none was held."""
        return self._identity is None or self._identity == self._found()

    def require_held(self) -> None:
        """Raise :class:`HeadstockError` if the folder was deleted, moved or replaced since :meth:`hold`."""
        if not self.held:
            raise HeadstockError(
                f"{self.path} was deleted, moved or replaced while the run was writing there; if it was moved, resume "
                "it where it is now: headstock run NEW_PLACE --resume"
            )

    def _found(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def record(self, *files: Path) -> None:
        """Keep digests of files that are written once, so that damage to them is noticed.

        Raises:
            WriteError: the folder cannot be written.
        """
        with explain_write_errors(self.marker):
            found = {file.relative_to(self.path).as_posix(): file_digest(file) for file in files}
            write_text(self.marker, seal({"digests": {**self._digests(), **found}}))

    def require_sound(self) -> None:
        """Raise :class:`HeadstockError` if a file of :meth:`record` is not what was written; results may be gone."""
        digests = self._digests()
        if not self.finished:
            digests.pop(self.results.name, None)
        problem = damage(self.path, digests)
        if problem is not None:
            raise HeadstockError(f"{self.path / problem}; put it back as it was, or start the run again with --force")

    def _digests(self) -> dict[str, str]:
        try:
            content = self.marker.read_bytes()
            digests: dict[str, str] = unseal(content)["digests"] if content else {}
        except FileNotFoundError:  # a run from elsewhere, such as the Hub
            return {}
        except OSError as error:
            raise HeadstockError(f"cannot read {self.marker}: {error.strerror or error}") from error
        except (ValueError, KeyError) as error:
            raise HeadstockError(f"{self.marker} is not what was written; start the run again with --force") from error
        return digests

    def clear(self) -> None:
        """Remove what a run leaves, and nothing else."""
        with explain_write_errors(self.path):
            for path in (
                self.results,
                self.model,
                self.checkpoints,
                self.plots,
                self.tensorboard,
                self.card,
                self.predictions,
                self.metrics,
                self.speed,
                self.before,
                self.environment,
                self.data,
                self.recipe,
                self.marker,
            ):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)


class DirectoryLock:
    """Holds a run directory, so that no two processes write to it. Released when the process ends, however it ends."""

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        self._lock = FileLock(directory.lock, thread_local=False)

    def acquire(self) -> bool:
        """Make the folder if need be, lock it and remove what a killed process left; False when another one holds it.

        Raises:
            WriteError: the folder cannot be written.
        """
        directory = self._directory
        with explain_write_errors(directory.path):
            directory.path.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire(blocking=False)
            except Timeout:
                return False
            directory.hold()
            for folder in (directory.path, directory.checkpoints):
                remove_leftovers(folder)
            if directory.base.exists():
                shutil.rmtree(directory.base)
        return True

    def release(self) -> None:
        """Let go of the folder, and remove it if the run left nothing in it."""
        directory = self._directory
        if not self._lock.is_locked:
            return
        try:
            if directory.held and not directory.started:
                if directory.base.exists():
                    shutil.rmtree(directory.base)
                directory.lock.unlink(missing_ok=True)
                if not any(directory.path.iterdir()):
                    directory.path.rmdir()
        finally:
            self._lock.release()


def lock_directory(
    out: Path | None, resolved: ResolvedRecipe, resume: bool, force: bool
) -> tuple[RunDirectory, DirectoryLock]:
    """Choose the run directory and lock it.

    Without ``out`` it is the first of ``runs/TASK``, ``runs/TASK-2``, … that is free.

    Raises:
        HeadstockError: ``out`` cannot be used, see :func:`check_directory`, or another process is running there.
    """
    if out is not None:
        directory = RunDirectory(out)
        check_directory(directory, resolved, resume, force)
        lock = DirectoryLock(directory)
        if not lock.acquire():
            raise HeadstockError(f"another process is running in {out}; wait for it, or choose another --out")
        return directory, lock
    number = 1
    while True:
        task = resolved.task.entry.name
        directory = RunDirectory(RUNS / (task if number == 1 else f"{task}-{number}"))
        if not directory.started:
            lock = DirectoryLock(directory)
            if lock.acquire():
                return directory, lock
        number += 1


def check_directory(directory: RunDirectory, resolved: ResolvedRecipe, resume: bool, force: bool) -> None:
    """Say whether a folder can be used; changes nothing.

    Raises:
        HeadstockError: it holds something and neither ``resume`` nor ``force`` is set; it holds no run; it is a run of
            another recipe, or damaged.
    """
    path = directory.path
    if resume and force:
        raise HeadstockError("--resume resumes a run and --force replaces it; give one of them")
    if not directory.started:
        return
    if not directory.marker.exists():
        raise HeadstockError(f"{path} exists and is not a run directory; choose another with --out")
    if force:
        return
    if not resume:
        raise HeadstockError(f"{path} exists; --resume resumes it, --force replaces it, --out chooses another")
    directory.require_sound()
    if not directory.recipe.exists():
        return
    _require_same(directory, resolved)


def _require_same(directory: RunDirectory, resolved: ResolvedRecipe) -> None:
    """Compare the recipe with that of the run, but for what the data has yet to settle."""
    path, before, now = directory.path, read_yaml(directory.recipe), resolved.recipe.model_dump(mode="json")
    trainer = before.get("trainer")
    if isinstance(trainer, dict):
        before = before | {"trainer": {key: value for key, value in trainer.items() if key in resolved.given}}
    then = before.get("backbone")
    if isinstance(then, dict) and then.get("name") in [part.name for part in resolved.alternatives]:
        before, now = before | {"backbone": None}, now | {"backbone": None}
    differences = _differences(before, now)
    if differences:
        raise HeadstockError(
            f"{path} is a run of another recipe ({'; '.join(differences)}); --out chooses another folder"
        )


def claim_directory(directory: RunDirectory, resolved: ResolvedRecipe, data: dict[str, str], force: bool) -> None:
    """Write down which run the folder is of; with ``force`` remove the one that was there first.

    Args:
        directory: A folder that is locked and checked.
        resolved: The recipe.
        data: A digest of each split, as read.
        force: Whether to replace a run that is there.

    Raises:
        HeadstockError: the run that is there was made from other data, or with other settings of the trainer.
    """
    if force:
        directory.clear()
    if directory.data.exists():
        before = read_json(directory.data)
        changed = [split for split in data if not isinstance(before, dict) or before.get(split) != data[split]]
        if changed:
            raise HeadstockError(
                f"the {' and '.join(changed)} data of {directory.path} has changed since the run began; "
                "--force starts again"
            )
    with explain_write_errors(directory.marker):
        directory.marker.touch()
    if directory.recipe.exists():
        _require_same(directory, resolved)
    else:
        write_text(directory.recipe, resolved.to_yaml())
    if not directory.data.exists():
        write_json(directory.data, data)
    directory.record(directory.recipe, directory.data)


def _differences(before: object, now: object, key: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        keys = sorted({*before, *now})
        return [line for k in keys for line in _differences(before.get(k), now.get(k), f"{key}.{k}".strip("."))]
    return [] if before == now else [f"{key} was {before!r}, is {now!r}"]
