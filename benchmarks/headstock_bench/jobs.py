"""What the harness hands to whatever runs cells, and what it gets back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from headstock_bench.process import Ending


class Attempt(NamedTuple):
    """One start of a cell.

    Attributes:
        arguments: Of the ``headstock`` command.
        resumed: Whether it resumes an interrupted run.
    """

    arguments: list[str]
    resumed: bool


class Job(NamedTuple):
    """A cell to run.

    Attributes:
        label: What to call it in lines of progress.
        recipe: The recipe's file.
        text: What is in that file.
        log: File for what the run prints.
        prepare: Makes the files ready and returns how to start. Its argument says whether the attempt before this one
            failed: then the run begins anew; one that was killed or stopped is resumed.
    """

    label: str
    recipe: Path
    text: str
    log: Path
    prepare: Callable[[bool], Attempt]


class Finished(NamedTuple):
    """A job that came to its end, well or not: its position among the jobs, how it ended, whether it was resumed."""

    position: int
    ending: Ending
    resumed: bool


class Executor(Protocol):
    """Runs jobs."""

    def __call__(self, jobs: Sequence[Job], lock: int) -> Iterator[Finished]:
        """Yield each job as it ends, in any order.

        Args:
            jobs: The jobs.
            lock: File descriptor of the lock on the results; a process that inherits it holds the lock.

        Raises:
            StoppedError: a signal came (:mod:`headstock_bench.process`).
        """
