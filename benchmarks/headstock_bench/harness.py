"""Has the cells run that are still to be run, and records each."""

from __future__ import annotations

import fcntl
import json
import math
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import torch
import yaml

from headstock import HeadstockError, RunResult, explain_write_errors, write_text
from headstock.report.environment import describe_environment
from headstock_bench.cells import Cell, CellFiles, digest_of_run
from headstock_bench.jobs import Attempt, Executor, Finished, Job
from headstock_bench.ordered import InOrder
from headstock_bench.process import Ending, StoppedError, run_process
from headstock_bench.records import Measurement, Provenance, Record, Results
from headstock_registry import Catalogue


class Settings(NamedTuple):
    """How a suite is run.

    Attributes:
        suite: The suite's name.
        out: Folder of the results.
        retry_failed: Run cells again that failed earlier.
        keep_weights: Keep the tuned model of each cell.
        trust_remote_code: Let Python code run that comes with pretrained weights.
    """

    suite: str
    out: Path
    retry_failed: bool = False
    keep_weights: bool = False
    trust_remote_code: bool = False


class OneByOne:
    """Runs jobs on this machine, one after the other, each in a process of its own.

    Args:
        say: Shows a line of progress.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def __call__(self, jobs: Sequence[Job], lock: int) -> Iterator[Finished]:
        """Run the jobs; a process keeps the lock until it ends."""
        for position, job in enumerate(jobs):
            self._say(f"{job.label} …")
            attempt = job.prepare(False)
            # -P: the current folder is no place for modules, as it is none for the `headstock` command.
            command = [sys.executable, "-P", "-m", "headstock", *attempt.arguments]
            yield Finished(position, run_process(command, job.log, [lock]), attempt.resumed)


class Harness:
    """Has cells run and records them.

    A cell that has a record with its present recipe is not run again, unless it failed and ``retry_failed`` is set. A
    cell that was interrupted is resumed where it was. Records are in the order of the cells, whatever runs them.

    Args:
        catalogue: The installed plugins.
        settings: How to run.
        results: The records so far.
        say: Shows a line of progress.
        executor: What runs the cells; default :class:`OneByOne`.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        settings: Settings,
        results: Results,
        say: Callable[[str], None],
        executor: Executor | None = None,
    ) -> None:
        self._catalogue, self._settings, self._results, self._say = catalogue, settings, results, say
        self._executor = executor or OneByOne(say)

    def pending(self, cells: Sequence[Cell]) -> list[Cell]:
        """Return the cells that :meth:`run` would run."""
        return [cell for cell in cells if self._is_pending(cell)]

    def _is_pending(self, cell: Cell) -> bool:
        record = self._results.of(cell)
        return record is None or (record.status == "failed" and self._settings.retry_failed)

    def run(self, cells: Sequence[Cell]) -> None:
        """Run the cells that are still to be run. A cell that fails is recorded and the others are run.

        Raises:
            StoppedError: a signal came; all cells that ended are recorded, and the same command resumes it.
            HeadstockError: the results cannot be written, another process is at work on them, or the executor cannot
                run anything.
        """
        if not self.pending(cells):
            self._say_recorded(cells, 0)
            return
        with locked(self._settings.out) as lock, InOrder(self._results) as ordered:
            pending = self.pending(cells)  # ordered may have brought records that a killed benchmark left
            self._say_recorded(cells, len(pending))
            left = len(pending)
            jobs = [self._job(cell, number, left) for number, cell in enumerate(pending, start=1)]
            try:
                for position, ending, resumed in self._executor(jobs, lock):
                    cell, files = pending[position], CellFiles.of(pending[position], self._settings.out)
                    record = self._record(cell, files, ending, resumed)
                    ordered.add(position, record)
                    left -= 1
                    self._say(f"{jobs[position].label}: {_outcome(record, files)}")
                    if not self._settings.keep_weights:
                        _remove_weights(files)
            except StoppedError as stop:
                to_go = f"{left} of {len(pending)} runs to go"
                raise StoppedError(f"stopped with {to_go}; the same command resumes it", stop.number) from stop

    def _say_recorded(self, cells: Sequence[Cell], pending: int) -> None:
        if pending < len(cells):
            self._say(f"{len(cells) - pending} of {len(cells)} runs are recorded already")

    def _job(self, cell: Cell, number: int, total: int) -> Job:
        files = CellFiles.of(cell, self._settings.out)
        text = yaml.safe_dump(cell.content, sort_keys=False, allow_unicode=True)

        def prepare(failed: bool) -> Attempt:
            resumes, options = self._how_to_start(cell, files, failed)
            options += ["--trust-remote-code"] if self._settings.trust_remote_code else []
            with explain_write_errors(files.recipe):
                files.recipe.parent.mkdir(parents=True, exist_ok=True)
            write_text(files.recipe, text)
            write_text(files.digest, cell.digest)
            return Attempt(["run", str(files.recipe), "--out", str(files.run), "--quiet", *options], resumes)

        return Job(f"[{number}/{total}] {cell}", files.recipe, text, files.log, prepare)

    def _how_to_start(self, cell: Cell, files: CellFiles, failed: bool) -> tuple[bool, list[str]]:
        """Return whether an interrupted run is resumed, and the options of the command."""
        found = digest_of_run(files)
        if found is None:
            return False, []
        resumes = found == cell.digest and not failed and self._results.of(cell) is None
        return resumes, ["--resume" if resumes else "--force"]

    def _record(self, cell: Cell, files: CellFiles, ending: Ending, resumed: bool) -> Record:
        succeeded = ending.code == 0
        measurement = _measurement(cell, RunResult.read(files.run), resumed) if succeeded else None
        return Record(
            suite=self._settings.suite,
            case=cell.case,
            seed=cell.seed,
            digest=cell.digest,
            status="ok" if succeeded else "failed",
            error=None if succeeded else ending.error,
            measurement=measurement,
            process_seconds=round(ending.seconds, 2),
            provenance=self._provenance(cell, files, succeeded),
        )

    def _provenance(self, cell: Cell, files: CellFiles, succeeded: bool) -> Provenance:
        """Return what the run wrote down of where it took place; of one that failed, what is known without it."""
        if succeeded:
            environment = json.loads((files.run / "environment.json").read_text("utf-8"))
        else:
            environment = describe_environment(self._catalogue, torch.device("cpu"), cell.seed)
            environment |= {"device": None, "device_type": None}
        taken = {name: value for name, value in environment.items() if name in Provenance.model_fields}
        version = environment["versions"]["headstock"]
        return Provenance(date=datetime.now(UTC).isoformat(timespec="seconds"), headstock=version, **taken)


@contextmanager
def locked(out: Path) -> Iterator[int]:
    """Hold the folder of results, so that no two processes run the same cells; give the lock's file descriptor.

    Raises:
        HeadstockError: another process holds it.
    """
    path = out / ".lock"
    with explain_write_errors(path):
        out.mkdir(parents=True, exist_ok=True)
        stream = path.open("wb")
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HeadstockError(
                f"another process is running cells in {out}; wait for it, or choose another folder with --out"
            ) from None
        yield stream.fileno()


def _measurement(cell: Cell, result: RunResult, resumed: bool) -> Measurement:
    return Measurement(
        metric=cell.metric.name,
        baseline=None if result.baseline is None else _figures(result.baseline),
        before=_figures(result.before.metrics),
        after=_figures(result.after.metrics),
        examples_per_second=result.training.examples_per_second,
        seconds=result.training.seconds,
        peak_memory_mb=result.training.peak_memory_mb,
        parameters=result.parameters,
        trainable_parameters=result.trainable_parameters,
        steps=result.training.steps,
        resumed=resumed,
    )


def _figures(metrics: Mapping[str, float | None]) -> dict[str, float]:
    return {name: math.nan if value is None else value for name, value in metrics.items()}


def _outcome(record: Record, files: CellFiles) -> str:
    found = record.measurement
    if found is None:
        return f"failed after {record.process_seconds:.0f} s: {record.error} (all of it is in {files.log})"
    return (
        f"{found.metric} {found.before[found.metric]:.4f} → {found.after[found.metric]:.4f}, "
        f"{found.examples_per_second:.1f} examples/s, {found.seconds:.0f} s"
    )


def _remove_weights(files: CellFiles) -> None:
    model = files.run / "model"
    if model.exists():
        with explain_write_errors(model):
            shutil.rmtree(model)
