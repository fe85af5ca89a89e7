"""What a finished run leaves to read: its result, predictions, plots and model card."""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from headstock.atomic import WriteError, write_text
from headstock.console import Console
from headstock.engine.data_report import data_notes
from headstock.engine.models.model_files import load_model
from headstock.engine.models.module import TuningModule
from headstock.engine.passes.predictions import Evaluation
from headstock.engine.run_directory import RunDirectory
from headstock.engine.setup import PreparedData, count
from headstock.error_text import printable, reason
from headstock.interfaces import Task, trusts_remote_code
from headstock.interfaces.task import Row
from headstock.preprocessing.prepare import PreparedSplit
from headstock.recipe.resolve import ResolvedRecipe
from headstock.report.card import model_card, plain_loading
from headstock.report.metrics_file import read_metrics
from headstock.report.result import RunResult, TestResult, TrainingSummary
from headstock.trainer.trainer import TrainResult
from headstock_registry import Catalogue


def make_result(
    resolved: ResolvedRecipe,
    module: TuningModule,
    data: PreparedData,
    directory: RunDirectory,
    trained: TrainResult,
    seconds: tuple[float, float],
    tests: tuple[TestResult, Evaluation],
    baseline: Mapping[str, float] | None,
) -> RunResult:
    """Put the record of a run together.

    Args:
        resolved: The recipe.
        module: The tuned model.
        data: The data.
        directory: The run directory.
        trained: How training went.
        seconds: Those of encoding and of all.
        tests: The tests before and after.
        baseline: The test metrics without a model.
    """
    before, after = tests
    return RunResult(
        path=directory.path,
        task=resolved.task.entry.name,
        backbone=resolved.backbone.entry.name,
        adapter=resolved.adapter.entry.name,
        methods=[part.entry.name for part in resolved.methods],
        seed=resolved.seed,
        parameters=count(module.parameters()),
        trainable_parameters=count(parameter for parameter in module.parameters() if parameter.requires_grad),
        examples={name: len(split) for name, split in data.splits.items()},
        skipped=data.skipped,
        trust_remote_code=trusts_remote_code(),
        data_notes=data_notes(data.splits),
        data_remarks=data.remarks,
        recipe_remarks=list(resolved.remarks),
        training=TrainingSummary(
            steps=trained.steps,
            best_step=trained.best.step,
            best_metric=trained.best.metric,
            best_value=trained.best.value if trained.best.value is not None else float("nan"),
            stopped_early=trained.stopped_early,
            out_of_time=trained.out_of_time,
            skipped_steps=trained.skipped_steps,
            cost_limit=trained.cost_limit,
            examples_per_second=trained.examples_per_second,
            encoding_seconds=seconds[0],
            seconds=seconds[1],
            peak_memory_mb=peak_memory_mb(next(module.parameters()).device),
        ),
        baseline=baseline,
        before=before,
        after=TestResult(metrics=after.metrics, details=after.details),
    )


def write_predictions(path: Path, task: Task, test: PreparedSplit, evaluation: Evaluation, console: Console) -> None:
    """Write a line of JSON for each example of a split: its place, input, what is right and what was predicted.

    A prediction that cannot be written is a warning; it must not cost the whole run.

    Raises:
        WriteError: the file cannot be written; the run can be resumed when it can.
    """
    with _warned("the test predictions could not be written", console, but=(WriteError,)):
        _write_predictions(path, task, test, evaluation)


def _input(task: Task, row: Row) -> Any:
    """Return a row's input for people: its value, or the path of a file; by column where there are several.

    What is neither JSON nor a file with a path (an array, the bytes of an image) is ``None``.
    """
    columns = [column for column in task.data_columns if column.role == "input" and row.get(column.name) is not None]
    values = {column.name: (_path if column.content == "file" else _value)(row[column.name]) for column in columns}
    return next(iter(values.values())) if len(values) == 1 else values


def _path(value: Any) -> str | None:
    path = value.get("path") if isinstance(value, Mapping) else value
    return os.fspath(path) if isinstance(path, str | os.PathLike) else None


def _value(value: Any) -> Any:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return None
    return value


def _write_predictions(path: Path, task: Task, test: PreparedSplit, evaluation: Evaluation) -> None:
    split = test.split
    lines = []
    for row, reference, prediction in zip(split.rows, split.references, evaluation.predictions, strict=True):
        record = {
            "example": split.table.where(row),
            "input": _input(task, split.table[row]),
            "reference": reference,
            "prediction": prediction,
        }
        lines.append(json.dumps(record, ensure_ascii=False) + "\n")
    write_text(path, "".join(lines))


def write_report(
    directory: RunDirectory, result: RunResult, resolved: ResolvedRecipe, module: TuningModule, console: Console
) -> None:
    """Write the plots, then the model card that shows them.

    Results and weights are on disk by then, so whatever fails here is one warning and the run is finished.
    """
    from headstock.report import plots

    training, confusion = result.training, result.after.details.confusion
    curves, matrix = directory.plots / "curves.png", directory.plots / "confusion.png"
    with _warned("the training curve could not be drawn", console):
        directory.plots.mkdir(exist_ok=True)
        plots.plot_curves(read_metrics(directory.metrics), training.best_metric, training.best_step, curves)
    numbered: dict[str, str] = {}
    if confusion is not None:
        with _warned("the confusion matrix could not be drawn", console):
            numbered = plots.plot_confusion(confusion, matrix)
    if numbered:
        console.line(
            f"{len(numbered)} labels are numbers in {matrix.name}, for no installed font has their characters; "
            f"{directory.card.name} lists them"
        )
    with _warned("the model card could not be written", console):
        files = {str(path.relative_to(directory.path)) for path in directory.path.rglob("*") if path.is_file()}
        card = model_card(
            result,
            resolved.to_yaml(),
            metadata.version("headstock"),
            module.task.pipeline_tag,
            module.backbone.source or module.backbone.provenance,
            _data_name(resolved),
            plain_loading(module.backbone, files),
            plots={plot.name: legend for plot, legend in ((curves, {}), (matrix, numbered)) if plot.is_file()},
        )
        write_text(directory.card, card)


def complete_report(
    directory: RunDirectory, result: RunResult, resolved: ResolvedRecipe, catalogue: Catalogue, console: Console
) -> None:
    """Write the report of a finished run that has none, because it was killed meanwhile or the report failed."""
    if directory.card.exists():
        return
    with _warned("the report could not be made", console):
        write_report(directory, result, resolved, load_model(catalogue, directory.model)[1], console)


@contextmanager
def _warned(what: str, console: Console, but: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn whatever is raised into one warning, ``but`` some; plugins' labels and predictions may be anything."""
    try:
        yield
    except but:
        raise
    except Exception as error:
        console.warn(f"{what}: {printable(reason(error))}; weights and results of the run are not touched by that")


def _data_name(resolved: ResolvedRecipe) -> str:
    data = resolved.data
    named = data.hub or data.path or data.train
    return Path(named).name if named is not None and data.hub is None else named or "the task's own sample"


def peak_memory_mb(device: torch.device) -> float:
    """Return the most memory used so far in MiB: on the GPU where it runs there, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
