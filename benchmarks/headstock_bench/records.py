"""The results: one JSON object a line, only ever appended to."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from headstock import explain_write_errors
from headstock_bench.cells import Cell

Key = tuple[str, int, str]
"""Case, seed and digest: what makes two measurements measure the same."""


class Provenance(BaseModel):
    """Where and with what a cell ran.

    ``device`` is None for a cell that failed; ``commit`` is None outside a checkout. ``date`` is when it ended, in UTC.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    date: str
    headstock: str
    commit: str | None
    python: str
    versions: dict[str, str]
    plugins: dict[str, str]
    device: str | None
    device_type: str | None
    cpus: int | None
    threads: int
    platform: str


class Measurement(BaseModel):
    """What a finished run gave; times of a resumed one are those of its last session.

    Attributes:
        metric: Name of the task's first metric.
        baseline: Test metrics of a prediction without a model; ``None`` where the task knows of none.
        before: Test metrics before tuning.
        after: Test metrics after tuning.
        examples_per_second: Training examples per second of training time; 0 if the last session took no step.
        seconds: From start to end of the run without start-up of the process; preprocessing is in it only where the
            cache lacks it, that is for a case's first seed.
        peak_memory_mb: MiB of the process, or of the GPU's memory where it ran there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    metric: str
    baseline: dict[str, float] | None = None
    before: dict[str, float]
    after: dict[str, float]
    examples_per_second: float
    seconds: float
    peak_memory_mb: float
    parameters: int
    trainable_parameters: int
    steps: int
    resumed: bool


class Record(BaseModel):
    """One line of the results: a cell that was run, whether it went well or not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    suite: str
    case: str
    seed: int
    digest: str
    status: Literal["ok", "failed"]
    error: str | None = None
    measurement: Measurement | None = None
    process_seconds: float
    provenance: Provenance

    @property
    def key(self) -> Key:
        """What was measured."""
        return self.case, self.seed, self.digest


class Results:
    """The file of records, and which record holds for which cell.

    Attributes:
        path: The file; it need not exist.
        problems: One line for each line of the file that is no record and was left out.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[str] = []
        self._latest: dict[Key, Record] = {}
        lines = path.read_text("utf-8", errors="replace").splitlines() if path.exists() else []
        for number, line in enumerate(lines, start=1):
            try:
                record = Record.model_validate_json(line)
            except ValidationError as error:
                reason = error.errors()[0]["msg"]
                self.problems.append(f"{path} line {number} is left out, it is no record of a benchmark: {reason}")
                continue
            self._latest[record.key] = record

    @property
    def latest(self) -> tuple[Record, ...]:
        """The newest record of everything that was measured, in the order in which each was first measured."""
        return tuple(self._latest.values())

    def of(self, cell: Cell) -> Record | None:
        """Return the newest record of a cell with its present recipe."""
        return self._latest.get((cell.case, cell.seed, cell.digest))

    def of_all(self, cells: Iterable[Cell]) -> list[Record]:
        """Return the newest records of these cells, without those that have none."""
        return [record for record in map(self.of, cells) if record is not None]

    def append(self, record: Record) -> None:
        """Add a record; it is on disk when this returns."""
        with explain_write_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab+") as stream:
                torn = stream.tell() > 0 and _last_byte(stream) != b"\n"
                stream.write(b"\n" * torn + record.model_dump_json().encode() + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
        self._latest[record.key] = record


def _last_byte(stream: Any) -> bytes:
    stream.seek(-1, os.SEEK_END)
    last: bytes = stream.read(1)
    return last
