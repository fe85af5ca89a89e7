"""The run directory: named, claimed, resumed or replaced, so that nothing on disk is lost by mistake."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml

from headstock.atomic import explain_write_errors, write_text
from headstock.recipe.resolve import ResolvedRecipe
from headstock_registry import HeadstockError

RUNS = Path("runs")


class RunDirectory:
    """One run's folder and the paths in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recipe = path / "recipe.yaml"
        self.environment = path / "environment.json"
        self.before = path / "before.json"
        self.metrics = path / "metrics.jsonl"
        self.checkpoints = path / "checkpoints"
        self.base = path / "checkpoints" / "base"
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
        """Whether there is something in the folder."""
        return self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir()))


def choose_directory(out: Path | None, task: str) -> RunDirectory:
    """Return the folder asked for, or the first free one of ``runs/TASK``, ``runs/TASK-2``, …"""
    if out is not None:
        return RunDirectory(out)
    number = 1
    while True:
        directory = RunDirectory(RUNS / (task if number == 1 else f"{task}-{number}"))
        if not directory.started:
            return directory
        number += 1


def check_directory(directory: RunDirectory, resolved: ResolvedRecipe, resume: bool, force: bool) -> None:
    """Make the folder if it is new, and say at once if it cannot be used.

    Raises:
        HeadstockError: it holds something and neither ``resume`` nor ``force`` is set; it holds no run; it is a run of
            another recipe; it cannot be written.
    """
    path = directory.path
    if not directory.started:
        with explain_write_errors(path):
            path.mkdir(parents=True, exist_ok=True)
            probe = path / ".probe"
            probe.touch()
            probe.unlink()
        return
    if not directory.recipe.exists():
        raise HeadstockError(f"{path} exists and is not a run directory; choose another with --out")
    if force:
        return
    if not resume:
        raise HeadstockError(f"{path} exists; --resume goes on with it, --force replaces it, --out chooses another")
    before = yaml.safe_load(directory.recipe.read_text("utf-8"))
    differences = _differences(before, resolved.recipe.model_dump(mode="json"))
    if differences:
        raise HeadstockError(
            f"{path} is a run of another recipe ({'; '.join(differences)}); --out chooses another folder"
        )


def claim_directory(directory: RunDirectory, resolved: ResolvedRecipe, resume: bool, force: bool) -> None:
    """Write the recipe into the folder; with ``force`` and without ``resume``, remove what was there first."""
    if force and not resume and directory.started:
        with explain_write_errors(directory.path):
            shutil.rmtree(directory.path)
            directory.path.mkdir(parents=True)
    if not directory.recipe.exists():
        write_text(directory.recipe, resolved.to_yaml())


def _differences(before: object, now: object, key: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        keys = sorted({*before, *now})
        return [line for k in keys for line in _differences(before.get(k), now.get(k), f"{key}.{k}".strip("."))]
    return [] if before == now else [f"{key} was {before!r}, is {now!r}"]
