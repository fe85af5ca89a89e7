"""Runs the cells that are still to be run, one after the other, and records each."""

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

from headstock import HeadstockError
from headstock.atomic import explain_write_errors, write_text
from headstock.report.environment import describe_environment
from headstock.report.result import RunResult
from headstock_bench.cells import Cell, CellFiles, digest_of_run
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
    """

    suite: str
    out: Path
    retry_failed: bool = False
    keep_weights: bool = False


class Harness:
    """Runs cells.

    A cell that has a record with its present recipe is not run again, unless it failed and ``retry_failed`` is set. A
    cell that was interrupted goes on where it was.

    Args:
        catalogue: The installed plugins.
        settings: How to run.
        results: The records so far.
        say: Shows a line of progress.
    """

    def __init__(self, catalogue: Catalogue, settings: Settings, results: Results, say: Callable[[str], None]) -> None:
        self._catalogue, self._settings, self._results, self._say = catalogue, settings, results, say

    def pending(self, cells: Sequence[Cell]) -> list[Cell]:
        """Return the cells that :meth:`run` would run."""
        return [cell for cell in cells if self._is_pending(cell)]

    def _is_pending(self, cell: Cell) -> bool:
        record = self._results.of(cell)
        return record is None or (record.status == "failed" and self._settings.retry_failed)

    def run(self, cells: Sequence[Cell]) -> None:
        """Run the cells that are still to be run. A cell that fails is recorded and the next one is run.

        Raises:
            StoppedError: a signal came; all cells before are recorded, and the same command goes on.
            HeadstockError: the results cannot be written, or another process is at work on them.
        """
        pending = self.pending(cells)
        if len(pending) < len(cells):
            self._say(f"{len(cells) - len(pending)} of {len(cells)} runs are recorded already")
        if not pending:
            return
        with locked(self._settings.out) as lock:
            for number, cell in enumerate(pending, start=1):
                label = f"[{number}/{len(pending)}] {cell}"
                self._say(f"{label} …")
                try:
                    record = self._run(cell, lock)
                except StoppedError as stop:
                    left = f"{len(pending) - number + 1} of {len(pending)} runs to go"
                    raise StoppedError(f"stopped with {left}; the same command goes on", stop.number) from stop
                self._results.append(record)
                self._say(f"{label}: {_outcome(record, CellFiles.of(cell, self._settings.out))}")
                if not self._settings.keep_weights:
                    _remove_weights(CellFiles.of(cell, self._settings.out))

    def _run(self, cell: Cell, lock: int) -> Record:
        files = CellFiles.of(cell, self._settings.out)
        goes_on, options = self._how_to_start(cell, files)
        with explain_write_errors(files.recipe):
            files.recipe.parent.mkdir(parents=True, exist_ok=True)
        write_text(files.recipe, yaml.safe_dump(cell.content, sort_keys=False, allow_unicode=True))
        # -P: the current folder is no place for modules, as it is none for the `headstock` command.
        command = [
            sys.executable,
            "-P",
            "-m",
            "headstock",
            "run",
            str(files.recipe),
            "--out",
            str(files.run),
            "--quiet",
        ]
        ending = run_process([*command, *options], files.log, [lock])
        return self._record(cell, files, ending, goes_on)

    def _how_to_start(self, cell: Cell, files: CellFiles) -> tuple[bool, list[str]]:
        """Return whether an interrupted run goes on, and the options of the command."""
        found = digest_of_run(files.run)
        if found is None:
            return False, []
        failed = self._results.of(cell) is not None
        goes_on = found == cell.digest and not failed
        return goes_on, ["--resume" if goes_on else "--force"]

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
