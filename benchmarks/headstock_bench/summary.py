"""What the records of a case amount to over its seeds."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from headstock_bench.cells import Cell
from headstock_bench.records import Measurement, Results


class Spread(BaseModel):
    """Mean and sample standard deviation; the latter is None for a single value."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    mean: float
    std: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of one or more values."""
        return cls(mean=statistics.fmean(values), std=statistics.stdev(values) if len(values) > 1 else None)


class Figures(BaseModel):
    """Figures of a case over the seeds that went well.

    Attributes:
        baseline: The metric on the test split without a model; ``None`` where the task knows of no such prediction.
        before: The metric on the test split before tuning.
        after: The metric after tuning.
        examples_per_second: Median of the training speed; None if no run took a step in its last session.
        peak_memory_mb: The largest, in MiB.
        seconds: Median time of a run; None if all were interrupted and resumed, so that none has a time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    baseline: Spread | None
    before: Spread
    after: Spread
    examples_per_second: float | None
    peak_memory_mb: float
    seconds: float | None
    parameters: int
    trainable_parameters: int


class CaseSummary(BaseModel):
    """One row of the table.

    Attributes:
        metric: The task's first metric, and whether ``higher`` or ``lower`` is ``better``.
        done: Seeds that went well.
        failed: Why the others failed, by seed.
        waiting: Seeds that are still to be run.
        figures: None while no seed is done.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    case: str
    metric: str
    better: Literal["higher", "lower"]
    done: tuple[int, ...]
    failed: dict[int, str]
    waiting: tuple[int, ...]
    figures: Figures | None


def summarise(cells: Iterable[Cell], results: Results) -> list[CaseSummary]:
    """Return a summary of each case, in the order of the cells."""
    cases: dict[str, list[Cell]] = {}
    for cell in cells:
        cases.setdefault(cell.case, []).append(cell)
    return [_summary(case, members, results) for case, members in cases.items()]


def _summary(case: str, cells: Sequence[Cell], results: Results) -> CaseSummary:
    done: dict[int, Measurement] = {}
    failed: dict[int, str] = {}
    waiting: list[int] = []
    for cell in cells:
        record = results.of(cell)
        if record is None:
            waiting.append(cell.seed)
        elif record.measurement is None:
            failed[cell.seed] = record.error or "no reason is known"
        else:
            done[cell.seed] = record.measurement
    return CaseSummary(
        case=case,
        metric=cells[0].metric.name,
        better=cells[0].metric.better,
        done=tuple(done),
        failed=failed,
        waiting=tuple(waiting),
        figures=_figures(cells[0].metric.name, list(done.values())) if done else None,
    )


def _figures(metric: str, found: Sequence[Measurement]) -> Figures:
    in_one_go = [each.seconds for each in found if not each.resumed]
    speeds = [each.examples_per_second for each in found if each.examples_per_second > 0]
    alone = [each.baseline[metric] for each in found if each.baseline is not None and metric in each.baseline]
    return Figures(
        baseline=Spread.of(alone) if len(alone) == len(found) else None,
        before=Spread.of([each.before[metric] for each in found]),
        after=Spread.of([each.after[metric] for each in found]),
        examples_per_second=statistics.median(speeds) if speeds else None,
        peak_memory_mb=max(each.peak_memory_mb for each in found),
        seconds=statistics.median(in_one_go) if in_one_go else None,
        parameters=found[0].parameters,
        trainable_parameters=found[0].trainable_parameters,
    )
