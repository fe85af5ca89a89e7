"""One session of a run: prepare data and model, test, train, test again, write. A resumed run has several sessions."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any

import torch

from headstock.atomic import write_json, write_text
from headstock.console import on_interrupt
from headstock.cpu_threads import thread_limit
from headstock.digests import seal, unseal
from headstock.engine.context import PreparedRun, RunContext
from headstock.engine.models.model_files import save_model
from headstock.engine.models.module import TuningModule
from headstock.engine.passes.baseline import baseline_metrics
from headstock.engine.passes.feature_cache import with_fixed_features
from headstock.engine.passes.predictions import evaluate_split
from headstock.engine.run_directory import RunDirectory, claim_directory
from headstock.engine.run_report import make_result, write_predictions, write_report
from headstock.engine.setup import PreparedData, begin_methods, build_module, count, prepare_data, settled
from headstock.engine.training import train
from headstock.recipe.resolve import ResolvedRecipe
from headstock.report.environment import describe_environment
from headstock.report.result import RunResult, TestResult
from headstock.trainer.kernels.glibc_heap import kept_memory
from headstock.trainer.state.checkpoints import CheckpointFolder
from headstock.trainer.step.precision import settle_precision
from headstock_registry import HeadstockError


def run_session(context: RunContext) -> RunResult:
    """Do all that a run does once its folder is locked.

    Raises:
        HeadstockError: what :func:`headstock.run` raises.
    """
    with on_interrupt(context.interrupted):
        prepared = prepare_run(context)
        with kept_memory(prepared.context.resolved.trainer, context.device):
            return tune(prepared)


def prepare_run(context: RunContext) -> PreparedRun:
    """Read the data, build the model, claim the folder, and say what is going to be trained."""
    console, ranks, directory = context.console, context.ranks, context.directory
    remarks = ranks.from_first(lambda: recipe_remarks(directory, context.resolved, context.resume))
    for remark in remarks:
        console.line(remark)
    with on_interrupt(lambda: context.interrupted(context.resume and directory.marker.exists())):
        with ranks.in_turn():
            data = prepare_data(context.resolved, console)
        resolved = settled(data)
        remarks = list(dict.fromkeys([*remarks, *resolved.remarks]))
        context = replace(context, resolved=resolved)
        base = directory.base if ranks.first else None
        known = len(data.remarks)
        module = build_module(resolved, data, base, torch.device("cpu") if context.sharded else context.device)
        for line in data.remarks[known:]:
            console.line(line)
        begin_methods(module, data)
        digests = ranks.gather(data.digests())
        ranks.from_first(lambda: _claim(context, digests or []))
    if context.sharded:
        _shard(module, context)
    elif resolved.trainer.fsdp:
        console.line("trainer.fsdp: there is one process, so nothing is sharded")
    precision = ranks.from_first(lambda: settle_precision(resolved.trainer, module, context.device).precision)
    update: dict[str, Any] = {"precision": precision}
    if resolved.methods:
        update["cuda_graphs"] = False  # what a method does in a step may differ from step to step
    trainer = resolved.trainer.model_copy(update=update)
    resolved = replace(resolved, trainer=trainer, remarks=tuple(remarks))
    rounds = ranks.from_first(lambda: uses_round_costs(directory, resolved, context.device, context.resume))
    if ranks.first:
        place = describe_environment(context.catalogue, context.device, resolved.seed, ranks.size)
        kept = {"precision": precision, "round_costs": rounds, "recipe_remarks": remarks}
        write_text(directory.environment, seal(place | kept))
    _announce(context, data, module, precision)
    return PreparedRun(replace(context, resolved=resolved), module, data, rounds)


def tune(prepared: PreparedRun) -> RunResult:
    """Test, train, test again, and write what came of it."""
    context, module = prepared.context, prepared.module
    resolved, console, ranks, directory = context.resolved, context.console, context.ranks, context.directory
    began = time.perf_counter()
    with ranks.in_turn():
        splits = with_fixed_features(resolved, module, prepared.data.splits, console, context.sharded)
    data = replace(prepared.data, splits=splits)
    encoding = time.perf_counter() - began

    baseline = ranks.from_first(lambda: baseline_metrics(module.task, splits))
    before = _test_before(context, module, data)
    trained = train(replace(prepared, data=data))
    after = evaluate_split(module, splits["test"], resolved.trainer, console, "test after tuning", ranks)

    seconds = encoding, time.perf_counter() - context.started
    result = make_result(resolved, module, data, directory, trained, seconds, (before, after), baseline)
    if context.sharded:
        from headstock.trainer.parallel.fsdp import gather

        gather(module, ranks)

    def finish() -> RunResult:
        directory.require_held()
        save_model(resolved, module, directory.model, directory.base if directory.base.exists() else None)
        write_predictions(directory.predictions, module.task, splits["test"], after, console)
        write_json(directory.results, result.model_dump(mode="json"))
        directory.record(directory.results)
        write_report(directory, result, resolved, module, console)
        CheckpointFolder(directory.checkpoints).remove()
        return result

    return context.result_of_first(finish)


def uses_round_costs(directory: RunDirectory, resolved: ResolvedRecipe, device: torch.device, resume: bool) -> bool:
    """Tell whether batches are cut by round costs: so on a GPU, and as before where a run is resumed elsewhere.

    Raises:
        HeadstockError: the record of the run's first session is damaged.
    """
    before = _session_before(directory, resume)
    if before is None:
        return resolved.trainer.cuda_graphs and device.type == "cuda"
    return bool(before.get("round_costs", False))


def recipe_remarks(directory: RunDirectory, resolved: ResolvedRecipe, resume: bool) -> list[str]:
    """Return a line for each default that could not be taken; a resumed run's recipe names what was taken then.

    Raises:
        HeadstockError: the record of the run's first session is damaged.
    """
    before = _session_before(directory, resume)
    return list(resolved.remarks) if before is None else list(before.get("recipe_remarks", []))


def _session_before(directory: RunDirectory, resume: bool) -> dict[str, Any] | None:
    if not (resume and directory.environment.exists()):
        return None
    try:
        return dict(unseal(directory.environment.read_bytes()))
    except ValueError as error:
        raise HeadstockError(f"{directory.environment} is not what was written; --force starts again") from error


def _announce(context: RunContext, data: PreparedData, module: TuningModule, precision: str) -> None:
    sizes = ", ".join(f"{len(split)} {name}" for name, split in data.splits.items())
    trainable = count(parameter for parameter in module.parameters() if parameter.requires_grad)
    parameters = f"{trainable:,} of {count(module.parameters()):,} parameters"
    several = context.ranks.size > 1
    place = f"{context.device.type}, {context.ranks.size} of them" if several else str(context.device)
    if context.device.type == "cpu":
        threads = torch.get_num_threads()
        place += f" with {threads} thread{'s' if threads > 1 else ''} ({thread_limit(os.environ)})"
    for line in context.resolved.chosen:
        context.console.line(line)
    context.console.line(f"{sizes} examples; training {parameters} in {precision} on {place}")


def _shard(module: TuningModule, context: RunContext) -> None:
    from headstock.trainer.parallel.fsdp import shard

    for changed in shard(module, module.backbone, context.ranks, context.device):
        context.console.line(f"trainer.fsdp: all ranks run the same layers, so {changed} is off")


def _claim(context: RunContext, digests: list[dict[str, str]]) -> None:
    """Claim the folder, if all ranks have read the same data."""
    for rank, other in enumerate(digests):
        differing = [split for split in other if other[split] != digests[0][split]]
        if differing:
            raise HeadstockError(
                f"rank {rank} reads other {' and '.join(differing)} data than rank 0; all need the same"
            )
    claim_directory(context.directory, context.resolved, digests[0], context.force)


def _test_before(context: RunContext, module: TuningModule, data: PreparedData) -> TestResult:
    """Return the test before tuning, if need be from an interrupted run. Only the first rank has its details."""
    ranks, directory = context.ranks, context.directory
    if ranks.from_first(directory.before.exists):
        return TestResult.model_validate(ranks.from_first(lambda: _read_before(directory).model_dump(mode="json")))
    evaluation = evaluate_split(
        module, data.splits["test"], context.resolved.trainer, context.console, "test before tuning", ranks
    )
    result = TestResult(metrics=evaluation.metrics, details=evaluation.details)
    if ranks.first:
        write_text(directory.before, seal(result.model_dump(mode="json")))
    return result


def _read_before(directory: RunDirectory) -> TestResult:
    try:
        return TestResult.model_validate(unseal(directory.before.read_bytes()))
    except ValueError as error:
        raise HeadstockError(
            f"{directory.before} is not what was written; delete it, and --resume tests the untuned model again"
        ) from error
