"""The door to a run: from a recipe to the record of a finished run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headstock.attribution import noting_plugin
from headstock.console import Console
from headstock.distributed import Ranks, joined, leads
from headstock.engine.context import RunContext
from headstock.engine.run_directory import DirectoryLock, RunDirectory, lock_directory
from headstock.engine.run_report import complete_report
from headstock.engine.session import run_session
from headstock.engine.setup import check_options, choose_device
from headstock.interfaces.remote_code import trusting_remote_code
from headstock.recipe.model import Recipe
from headstock.recipe.read import resolve_recipe
from headstock.recipe.resolve import ResolvedRecipe
from headstock.report.result import RunResult
from headstock.trainer.state.checkpoints import CheckpointFolder
from headstock_registry import Catalogue, HeadstockError, load_catalogue


def run(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    overrides: Sequence[str] | Mapping[str, Any] = (),
    *,
    out: str | Path | None = None,
    resume: bool = False,
    force: bool = False,
    quiet: bool = True,
    catalogue: Catalogue | None = None,
    trust_remote_code: bool = False,
) -> RunResult:
    """Tune a model and test it before and after.

    Args:
        recipe: A task's name, the path of a recipe file (``.yaml``), a mapping, or a :class:`Recipe`.
        overrides: ``"section.key=value"`` texts as on the command line, or a mapping of ``section.key`` to value.
        out: The run directory; default ``runs/TASK``, numbered when taken.
        resume: Resume an interrupted run in ``out``; a finished one is returned as it is.
        force: Replace a run that is in ``out``.
        quiet: Show no progress.
        catalogue: The installed plugins, if they are loaded already.
        trust_remote_code: Let Python code run that comes with pretrained weights. No recipe can say so.

    Returns:
        The record of the run; its files are in ``result.path``.

    Raises:
        HeadstockError: something the caller can put right; the message says what.
    """
    catalogue = catalogue or load_catalogue()
    place = None if out is None else Path(out)
    with noting_plugin(catalogue), trusting_remote_code(trust_remote_code):
        resolved = resolve_recipe(catalogue, recipe, overrides)
        return run_resolved(catalogue, resolved, place, resume=resume, force=force, console=Console(quiet))


def run_resolved(
    catalogue: Catalogue, resolved: ResolvedRecipe, out: Path | None, *, resume: bool, force: bool, console: Console
) -> RunResult:
    """Run a recipe that is checked already, together with the other processes if torchrun started this one.

    All return the same result; the files are the first rank's. See :func:`run`.
    """
    if resume and out is None:
        raise HeadstockError("resuming needs to know which run: name its folder (--out DIR, or out= in Python)")
    check_options(resolved)
    console = console if leads() else Console(quiet=True)
    started = time.perf_counter()
    with (
        console.current(),
        joined(resolved.trainer.device) as ranks,
        _locked(out, resolved, resume, force, ranks) as directory,
    ):
        device = choose_device(resolved.trainer.device)
        context = RunContext(catalogue, resolved, directory, console, ranks, device, resume, force, started)
        if resume and ranks.from_first(lambda: directory.finished):
            return context.result_of_first(lambda: _finished_before(context))
        return run_session(context)


@contextmanager
def _locked(
    out: Path | None, resolved: ResolvedRecipe, resume: bool, force: bool, ranks: Ranks
) -> Iterator[RunDirectory]:
    """Choose the run directory on the first rank, and lock it there."""
    lock: DirectoryLock | None = None

    def choose() -> str:
        nonlocal lock
        directory, lock = lock_directory(out, resolved, resume, force)
        return str(directory.path)

    try:
        yield RunDirectory(Path(ranks.from_first(choose))).hold()
    finally:
        if lock is not None:
            lock.release()


def _finished_before(context: RunContext) -> RunResult:
    directory = context.directory
    context.console.line(f"{directory.path} is finished already")
    CheckpointFolder(directory.checkpoints).remove()
    result = RunResult.read(directory.path)
    settled = resolve_recipe(context.catalogue, directory.recipe)
    complete_report(directory, result, settled, context.catalogue, context.console)
    return result
