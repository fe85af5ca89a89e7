"""The record of a finished run, ``results.json``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from headstock.atomic import finite
from headstock.files import read_json
from headstock.interfaces import Details
from headstock_registry import HeadstockError


class TestResult(BaseModel):
    """Metrics on the test split, and details per class where the task gives them.

    A metric that is not a finite number, such as the loss of a model that diverged, is ``None``.
    """

    __test__ = False
    model_config = ConfigDict(frozen=True, extra="forbid")

    metrics: Mapping[str, float | None]
    details: Details

    @field_validator("metrics", mode="before")
    @classmethod
    def _finite(cls, value: Any) -> Any:
        return finite(dict(value)) if isinstance(value, Mapping) else value


class DataNote(BaseModel):
    """How often something was cut, dropped or changed in a split's data.

    Attributes:
        count: How many things.
        examples: Of how many examples.
        share: ``examples`` by all examples of the split.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int
    examples: int
    share: float

    def __str__(self) -> str:
        inside = "" if self.count == self.examples else f"{self.count:,}, in "
        return f"{inside}{self.examples:,} examples ({self.share:.1%})"


class TrainingSummary(BaseModel):
    """How training went. Times are of the last session of a resumed run.

    ``best_value`` is ``None`` where no validation gave a finite number. ``encoding_seconds`` went into the features of
    a frozen backbone, before training; ``examples_per_second`` is of training alone. ``skipped_steps`` of the ``steps``
    changed nothing because the loss or gradient was not finite (only with ``trainer.on_nonfinite: skip``).
    ``out_of_time`` tells whether ``trainer.time`` ended training. ``cost_limit`` is the cost, in the backbone's unit,
    above which training batches were done in pieces because memory had run out; ``None`` if it never did.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int
    best_step: int
    best_metric: str
    best_value: float | None
    stopped_early: bool
    out_of_time: bool = False
    skipped_steps: int = 0
    cost_limit: int | None = None
    examples_per_second: float
    encoding_seconds: float = 0.0
    seconds: float
    peak_memory_mb: float

    @property
    def notes(self) -> list[str]:
        """A sentence on each thing that went otherwise than planned."""
        notes = []
        if self.out_of_time:
            notes.append("Training was ended by its time limit (trainer.time), and the learning rate with it.")
        if self.skipped_steps:
            notes.append(f"{self.skipped_steps} steps were skipped: their loss or gradient was not finite.")
        if self.cost_limit is not None:
            notes.append(f"Memory ran out: batches of a cost above {self.cost_limit} were done in pieces.")
        return notes

    @field_validator("best_value", mode="before")
    @classmethod
    def _finite(cls, value: Any) -> Any:
        return finite(value)


class RunResult(BaseModel):
    """What a run gave. ``path`` is the run directory; it is not written to the file.

    ``baseline`` has the test metrics of a prediction without a model (:meth:`headstock.Task.baseline`), ``None`` where
    the task knows of none. ``trust_remote_code`` tells whether the caller let Python code run that came with the
    pretrained weights. ``skipped`` has a line for each row that was left out, by split. ``data_notes`` says by split
    what was cut, dropped or changed in examples, and how often; ``data_remarks`` are sentences on the data as a whole.
    ``recipe_remarks`` has a line for each default that could not be taken.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path = Field(exclude=True)
    task: str
    backbone: str
    adapter: str
    methods: list[str] = []
    seed: int
    parameters: int
    trainable_parameters: int
    examples: dict[str, int]
    skipped: dict[str, list[str]]
    trust_remote_code: bool = False
    data_notes: dict[str, dict[str, DataNote]] = {}
    data_remarks: list[str] = []
    recipe_remarks: list[str] = []
    training: TrainingSummary
    baseline: Mapping[str, float | None] | None = None
    before: TestResult
    after: TestResult

    @field_validator("baseline", mode="before")
    @classmethod
    def _finite(cls, value: Any) -> Any:
        return finite(dict(value)) if isinstance(value, Mapping) else value

    @classmethod
    def read(cls, directory: Path) -> RunResult:
        """Read the record of a finished run.

        Raises:
            MissingFileError: there is none.
            HeadstockError: it cannot be read, or is not what a run writes.
        """
        file = directory / "results.json"
        content = read_json(file)
        try:
            return cls.model_validate({**(content if isinstance(content, dict) else {}), "path": directory})
        except ValidationError as error:
            raise HeadstockError(f"{file} is not the record of a run; start the run again with --force") from error
