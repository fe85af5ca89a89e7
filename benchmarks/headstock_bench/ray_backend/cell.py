"""What a Ray worker does: one attempt at a cell, in a process of its own.

Ray moves arguments and results with pickle. So that nothing but plain text ever goes that way, both are JSON texts,
and errors are answers too. Ray sets CUDA_VISIBLE_DEVICES and OMP_NUM_THREADS, which the process inherits.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from headstock_bench.process import StoppedError, run_process

WAKE = 0.2
"""Seconds between two looks for signals: Ray's cancelling only simulates a Ctrl-C."""


class Request(BaseModel):
    """An attempt at a cell.

    Attributes:
        arguments: Of the ``headstock`` command.
        folder: Folder in which to run it.
        recipe: The recipe's file, made by the process that reads the results.
        text: What that file holds.
        log: File for what the run prints.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    arguments: list[str]
    folder: str
    recipe: str
    text: str
    log: str


class Answer(BaseModel):
    """What came of it.

    Attributes:
        kind: ``ended``, well or not; ``stopped`` by a signal; ``unusable``: this machine can run no cell.
        machine: Its name.
        code: The process's exit code.
        seconds: How long it took.
        last_line: The last line that it wrote, or what is wrong with the machine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["ended", "stopped", "unusable"]
    machine: str
    code: int = 0
    seconds: float = 0.0
    last_line: str = ""


def run_cell(request: str) -> str:
    """Run an attempt; a :class:`Request` comes in as JSON, an :class:`Answer` goes out."""
    machine = socket.gethostname()
    try:
        wanted = Request.model_validate_json(request)
        if not _sees(wanted):
            answer = Answer(kind="unusable", machine=machine, last_line=f"it does not see {wanted.recipe}")
        else:
            ending = run_process(_command(wanted.arguments), Path(wanted.log), folder=Path(wanted.folder), wake=WAKE)
            answer = Answer(kind="ended", machine=machine, **ending._asdict())
    except StoppedError as stop:
        answer = Answer(kind="stopped", machine=machine, code=-stop.number)
    except Exception as error:  # an exception would go back to the driver as a pickle
        answer = Answer(kind="unusable", machine=machine, last_line=f"{type(error).__name__}: {error}")
    return answer.model_dump_json()


def _command(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-P", "-m", "headstock_bench.follow", str(os.getpid()), *arguments]


def _sees(wanted: Request) -> bool:
    try:
        return Path(wanted.recipe).read_text("utf-8") == wanted.text
    except OSError:
        return False
