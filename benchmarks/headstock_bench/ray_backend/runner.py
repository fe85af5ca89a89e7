"""Runs cells side by side through Ray, on the GPUs and machines of a cluster."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from headstock import HeadstockError
from headstock_bench.jobs import Attempt, Finished, Job
from headstock_bench.process import Ending, PassingOn, StoppedError
from headstock_bench.ray_backend.cell import Answer, Request, run_cell
from headstock_bench.ray_backend.cluster import Cluster, Machine, connected

LOOK = 0.5
"""Seconds between two looks for signals while nothing ends."""


class CellResources(NamedTuple):
    """What a cell gets: CPUs, and GPUs, of which it may be a part. ``concurrency`` is how many run at a time."""

    cpus: int
    gpus: float
    concurrency: int


class OnRay:
    """Runs jobs side by side, each in a process of its own.

    A job that fails or is killed is tried again; the others continue meanwhile. Ctrl-C and SIGTERM stop all runs, which
    are given the time to save; a second one does not wait for that.

    Args:
        address: As :func:`~headstock_bench.ray_backend.cluster.connected` takes it.
        cpus: CPUs for a cell; default a GPU's share of its machine's CPUs, or 1 where there is no GPU.
        gpus: GPUs for a cell, at most 1; default 1 where the cluster has any.
        retries: How often a job is tried again.
        say: Shows a line of progress.
    """

    def __init__(
        self, address: str, cpus: int | None, gpus: float | None, retries: int, say: Callable[[str], None]
    ) -> None:
        self._address, self._cpus, self._gpus, self._retries, self._say = address, cpus, gpus, retries, say

    def __call__(self, jobs: Sequence[Job], lock: int) -> Iterator[Finished]:
        """Run the jobs. The runs do not hold the lock, since they may be on other machines; they end with this process.

        Raises:
            StoppedError: a signal came.
            HeadstockError: there is no such cluster, no machine of it has what a cell needs, or one does not see the
                files.
        """
        del lock
        with connected(self._address) as cluster:
            resources = resources_of(cluster.machines, self._cpus, self._gpus)
            self._say(
                f"Ray {cluster.name}: {_count(len(cluster.machines), 'machine')}, "
                f"{_count(resources.concurrency, 'run')} at a time, "
                f"each on {_count(resources.cpus, 'CPU')} and {_count(resources.gpus, 'GPU')}"
            )
            with PassingOn() as signals:
                session = _Session(cluster, resources, jobs, self._retries, self._say)
                signals.to(session)
                yield from session.run()
            if signals.number is not None:
                raise StoppedError("stopped", signals.number)


@dataclass
class _Try:
    """An attempt under way."""

    position: int
    attempt: Attempt
    failures: int
    started: float


class _Session:
    """The jobs of one benchmark on a cluster. Takes signals through :meth:`send_signal`, as a process would."""

    def __init__(
        self, cluster: Cluster, resources: CellResources, jobs: Sequence[Job], retries: int, say: Callable[[str], None]
    ) -> None:
        self._cluster, self._jobs, self._retries, self._say = cluster, jobs, retries, say
        # Retries are ours, for Ray would repeat the same command where a run has to be resumed or to begin anew.
        self._run_cell = cluster.ray.remote(run_cell).options(
            num_cpus=resources.cpus, num_gpus=resources.gpus, max_retries=0, name="headstock-bench"
        )
        self._under_way: dict[Any, _Try] = {}
        self._signals = 0

    def send_signal(self, sig: int, /) -> None:
        """Note a signal; the loop acts on it."""
        del sig
        self._signals += 1

    def run(self) -> Iterator[Finished]:
        ray, heeded = self._cluster.ray, 0
        try:
            for position in range(len(self._jobs)):
                self._submit(position, failures=0, failed=False)
            while self._under_way:
                ended, _ = ray.wait(list(self._under_way), num_returns=1, timeout=LOOK)
                for reference in ended:
                    yield from self._heed(reference)
                if self._signals > heeded:
                    self._cancel(force=heeded > 0)
                    heeded = self._signals
        finally:
            self._cancel(force=True)  # nothing is left, unless an error ends it all

    def _submit(self, position: int, failures: int, failed: bool) -> None:
        job = self._jobs[position]
        attempt = job.prepare(failed)
        folder = Path.cwd()
        request = Request(
            arguments=attempt.arguments,
            folder=str(folder),
            recipe=str(folder / job.recipe),
            text=job.text,
            log=str(folder / job.log),
        )
        reference = self._run_cell.remote(request.model_dump_json())
        self._under_way[reference] = _Try(position, attempt, failures, time.perf_counter())

    def _cancel(self, force: bool) -> None:
        for reference in self._under_way:
            self._cluster.ray.cancel(reference, force=force, recursive=False)

    def _heed(self, reference: Any) -> Iterator[Finished]:
        """Yield the job if it came to its end; try it again if there is a reason to."""
        tried = self._under_way.pop(reference)
        errors = self._cluster.ray.exceptions
        try:
            answer = Answer.model_validate_json(self._cluster.ray.get(reference))
        except errors.TaskCancelledError:
            return
        except errors.RayError as error:
            # The worker itself was lost: killed by hand, for want of memory, or with its machine.
            reason = next(filter(None, map(str.strip, str(error).splitlines())), type(error).__name__)
            seconds = time.perf_counter() - tried.started
            answer = Answer(
                kind="stopped", machine="?", seconds=seconds, code=1, last_line=f"lost its worker: {reason}"
            )
        if answer.kind == "unusable":
            raise HeadstockError(
                f"machine {answer.machine} cannot run cells: {answer.last_line} (all machines need the same file "
                "system and the same installation)"
            )
        ending = Ending(answer.code, answer.seconds, answer.last_line)
        if ending.code != 0 and self._signals:
            return
        if ending.code == 0 or tried.failures >= self._retries:
            yield Finished(tried.position, ending, tried.attempt.resumed)
            return
        self._again(tried, answer, ending)

    def _again(self, tried: _Try, answer: Answer, ending: Ending) -> None:
        failures, job = tried.failures + 1, self._jobs[tried.position]
        if job.log.exists():
            shutil.copyfile(job.log, job.log.with_suffix(f".try-{failures}.log"))
        where = f"on {answer.machine} after {ending.seconds:.0f} s"
        self._say(f"{job.label}: failed {where}: {ending.error}; tried again ({failures} of {self._retries})")
        killed = answer.kind == "stopped" or ending.code < 0
        self._submit(tried.position, failures, failed=not killed)


def resources_of(machines: Sequence[Machine], cpus: int | None, gpus: float | None) -> CellResources:
    """Return what each cell gets on a cluster.

    Args:
        machines: The machines.
        cpus: CPUs for a cell; default a GPU's share of its machine's CPUs where cells need a GPU, else 1.
        gpus: GPUs for a cell; default 1 where the cluster has any, else 0.

    Raises:
        HeadstockError: no machine has as much.
    """
    if gpus is None:
        gpus = 1.0 if any(machine.gpus >= 1 for machine in machines) else 0.0
    if cpus is None:
        with_gpus = [machine for machine in machines if gpus and machine.gpus >= gpus]
        cpus = max(1, min((int(machine.cpus / int(machine.gpus / gpus)) for machine in with_gpus), default=1))
    concurrency = sum(_concurrency(machine, cpus, gpus) for machine in machines)
    if concurrency == 0:
        raise HeadstockError(
            f"no machine of the Ray cluster has {_count(cpus, 'CPU')} and {_count(gpus, 'GPU')} for a cell; "
            "ask for less with --cpus-per-cell and --gpus-per-cell"
        )
    return CellResources(cpus, gpus, concurrency)


def _concurrency(machine: Machine, cpus: int, gpus: float) -> int:
    by_cpus = int(machine.cpus // cpus)
    return min(by_cpus, int(machine.gpus / gpus)) if gpus else by_cpus


def _count(number: float, what: str) -> str:
    return f"{number:g} {what}" + ("" if number == 1 else "s")
