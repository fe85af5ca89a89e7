"""The record of a finished run, ``results.json``."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from headstock.interfaces import Details


class TestResult(BaseModel):
    """Metrics on the test split, and details per class where the task gives them."""

    __test__ = False
    model_config = ConfigDict(frozen=True, extra="forbid")

    metrics: dict[str, float]
    details: Details


class TrainingSummary(BaseModel):
    """How training went. Times are of the last session of a resumed run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int
    best_step: int
    best_metric: str
    best_value: float
    stopped_early: bool
    examples_per_second: float
    seconds: float
    peak_memory_mb: float


class RunResult(BaseModel):
    """What a run gave. ``path`` is the run directory; it is not written to the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path = Field(exclude=True)
    task: str
    backbone: str
    adapter: str
    seed: int
    parameters: int
    trainable_parameters: int
    examples: dict[str, int]
    skipped: dict[str, list[str]]
    training: TrainingSummary
    before: TestResult
    after: TestResult

    @classmethod
    def read(cls, directory: Path) -> RunResult:
        """Read the record of a finished run.

        Raises:
            OSError: there is none.
        """
        content = json.loads((directory / "results.json").read_text("utf-8"))
        return cls.model_validate({"path": directory, **content})
