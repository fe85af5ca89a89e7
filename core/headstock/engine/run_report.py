"""What a finished run leaves to read: its result, predictions, plots and model card."""

from __future__ import annotations

import json
import resource
import sys
from importlib import metadata
from pathlib import Path

import torch

from headstock.atomic import explain_write_errors, write_text
from headstock.engine.data_report import data_notes
from headstock.engine.module import TuningModule
from headstock.engine.passes import Evaluation
from headstock.engine.run_directory import RunDirectory
from headstock.engine.setup import PreparedData, count
from headstock.interfaces import Backbone, Task, trusts_remote_code
from headstock.preprocessing.prepare import PreparedSplit
from headstock.recipe.resolve import ResolvedRecipe
from headstock.report.card import model_card, plain_loading
from headstock.report.plots import plot_confusion, plot_curves, read_metrics
from headstock.report.result import RunResult, TestResult, TrainingSummary
from headstock.trainer.trainer import TrainResult


def make_result(
    resolved: ResolvedRecipe,
    module: TuningModule,
    data: PreparedData,
    directory: RunDirectory,
    trained: TrainResult,
    seconds: tuple[float, float],
    tests: tuple[TestResult, Evaluation],
) -> RunResult:
    """Put the record of a run together; ``seconds`` are those of encoding and of all, ``tests`` before and after."""
    before, after = tests
    return RunResult(
        path=directory.path,
        task=resolved.task.entry.name,
        backbone=resolved.backbone.entry.name,
        adapter=resolved.adapter.entry.name,
        seed=resolved.seed,
        parameters=count(module.parameters()),
        trainable_parameters=count(parameter for parameter in module.parameters() if parameter.requires_grad),
        examples={name: len(split) for name, split in data.splits.items()},
        skipped=data.skipped,
        trust_remote_code=trusts_remote_code(),
        data_notes=data_notes(data.splits),
        data_remarks=data.remarks,
        training=TrainingSummary(
            steps=trained.steps,
            best_step=trained.best.step,
            best_metric=trained.best.metric,
            best_value=trained.best.value if trained.best.value is not None else float("nan"),
            stopped_early=trained.stopped_early,
            skipped_steps=trained.skipped_steps,
            cost_limit=trained.cost_limit,
            examples_per_second=trained.examples_per_second,
            encoding_seconds=seconds[0],
            seconds=seconds[1],
            peak_memory_mb=peak_memory_mb(next(module.parameters()).device),
        ),
        before=before,
        after=TestResult(metrics=after.metrics, details=after.details),
    )


def write_predictions(path: Path, task: Task, test: PreparedSplit, evaluation: Evaluation) -> None:
    """Write a line of JSON for each example of a split: where it comes from, what is right, what was predicted."""
    split = test.split
    lines = []
    for row, reference, prediction in zip(split.rows, split.references, evaluation.predictions, strict=True):
        record = {"example": split.table.where(row), "reference": reference, "prediction": prediction}
        lines.append(json.dumps(record, ensure_ascii=False) + "\n")
    write_text(path, "".join(lines))


def write_report(
    directory: RunDirectory, result: RunResult, resolved: ResolvedRecipe, data: PreparedData, backbone: Backbone
) -> None:
    """Write the plots, then the model card that shows them."""
    with explain_write_errors(directory.plots):
        directory.plots.mkdir(exist_ok=True)
        plot_curves(
            read_metrics(directory.metrics),
            result.training.best_metric,
            result.training.best_step,
            directory.plots / "curves.png",
        )
        if result.after.details.confusion is not None:
            plot_confusion(result.after.details.confusion, directory.plots / "confusion.png")
    files = {str(path.relative_to(directory.path)) for path in directory.path.rglob("*") if path.is_file()}
    card = model_card(
        result,
        resolved.to_yaml(),
        metadata.version("headstock"),
        data.task.pipeline_tag,
        backbone.source,
        _data_name(resolved),
        plain_loading(backbone, files),
        confusion=result.after.details.confusion is not None,
    )
    write_text(directory.card, card)


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
