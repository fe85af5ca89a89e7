"""A run from top to bottom: data, model, test, training, test, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from headstock.atomic import write_json, write_text
from headstock.attribution import noting_plugin
from headstock.console import Console, on_interrupt
from headstock.digests import seal, unseal
from headstock.distributed import Ranks, joined, leads
from headstock.engine.feature_cache import with_fixed_features
from headstock.engine.model_files import save_model
from headstock.engine.module import TuningModule
from headstock.engine.passes import cost_limit, evaluate_split
from headstock.engine.run_directory import DirectoryLock, RunDirectory, claim_directory, lock_directory
from headstock.engine.run_report import complete_report, make_result, write_predictions, write_report
from headstock.engine.setup import PreparedData, build_module, check_options, choose_device, count, prepare_data
from headstock.interfaces import Batch
from headstock.interfaces.padding import round_lengths, rounded
from headstock.interfaces.remote_code import trusting_remote_code
from headstock.preprocessing.prepare import PreparedSplit
from headstock.recipe.model import Recipe
from headstock.recipe.resolve import ResolvedRecipe, resolve
from headstock.recipe.source import parse_assignments, read_yaml
from headstock.report.environment import describe_environment
from headstock.report.result import RunResult, TestResult
from headstock.trainer.kernels.glibc_heap import kept_memory
from headstock.trainer.plan.batches import BatchPlan, Indices
from headstock.trainer.progress.training_log import NoLog, TrainingLog
from headstock.trainer.replay.replayed_steps import can_record
from headstock.trainer.state.checkpoints import CheckpointFolder
from headstock.trainer.step.optimizer import ParameterGroup
from headstock.trainer.step.precision import settle_precision
from headstock.trainer.step.transfer import Transfer
from headstock.trainer.trainer import Surroundings, Trainer, TrainResult
from headstock_registry import Catalogue, HeadstockError, load_catalogue


def run(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    overrides: Sequence[str] | Mapping[str, Any] = (),
    *,
    out: str | Path | None = None,
    resume: bool = False,
    force: bool = False,
    quiet: bool = True,
    catalogue: Catalogue | None = None,
    trust_remote_code: bool = False,
) -> RunResult:
    """Tune a model and test it before and after.

    Args:
        recipe: A task's name, the path of a recipe file (``.yaml``), a mapping, or a :class:`Recipe`.
        overrides: ``"section.key=value"`` texts as on the command line, or a mapping of ``section.key`` to value.
        out: The run directory; default ``runs/TASK``, numbered when taken.
        resume: Go on with an interrupted run in ``out``; a finished one is returned as it is.
        force: Replace a run that is in ``out``.
        quiet: Show no progress.
        catalogue: The installed plugins, if they are loaded already.
        trust_remote_code: Let Python code run that comes with pretrained weights. No recipe can say so.

    Returns:
        The record of the run; its files are in ``result.path``.

    Raises:
        HeadstockError: something the caller can put right; the message says what.
    """
    catalogue = catalogue or load_catalogue()
    place = None if out is None else Path(out)
    with noting_plugin(catalogue), trusting_remote_code(trust_remote_code):
        resolved = resolve_recipe(catalogue, recipe, overrides)
        return run_resolved(catalogue, resolved, place, resume=resume, force=force, console=Console(quiet))


def resolve_recipe(
    catalogue: Catalogue,
    recipe: str | Path | Mapping[str, Any] | Recipe,
    overrides: Sequence[str] | Mapping[str, Any] = (),
) -> ResolvedRecipe:
    """Read and check a recipe in any of the forms that :func:`run` takes."""
    if isinstance(overrides, Mapping):
        assignments = [(key.split("."), value) for key, value in overrides.items()]
    else:
        assignments = parse_assignments(overrides)
    if isinstance(recipe, Recipe):
        return resolve(catalogue, recipe.model_dump(mode="json"), assignments)
    if isinstance(recipe, Mapping):
        return resolve(catalogue, recipe, assignments)
    if str(recipe).endswith((".yaml", ".yml")):
        return resolve(catalogue, read_yaml(Path(recipe)), assignments, str(recipe))
    return resolve(catalogue, {"task": str(recipe)}, assignments, str(recipe))


def run_resolved(
    catalogue: Catalogue, resolved: ResolvedRecipe, out: Path | None, *, resume: bool, force: bool, console: Console
) -> RunResult:
    """Run a recipe that is checked already, together with the other processes if torchrun started this one.

    All return the same result; the files are the first rank's. See :func:`run`.
    """
    if resume and out is None:
        raise HeadstockError("resuming needs to know which run: name its folder (--out DIR, or out= in Python)")
    check_options(resolved)
    console = console if leads() else Console(quiet=True)
    with (
        console.current(),
        joined(resolved.trainer.device) as ranks,
        _locked(out, resolved, resume, force, ranks) as directory,
    ):
        if resume and ranks.from_first(lambda: directory.finished):
            return _shared(ranks, directory, lambda: _finished_before(catalogue, resolved, directory, console))
        with on_interrupt(lambda: _stopped(directory, goes_on=True)):
            return _run_locked(catalogue, resolved, directory, resume=resume, force=force, console=console, ranks=ranks)


@contextmanager
def _locked(
    out: Path | None, resolved: ResolvedRecipe, resume: bool, force: bool, ranks: Ranks
) -> Iterator[RunDirectory]:
    """Choose the run directory on the first rank, and lock it there."""
    lock: DirectoryLock | None = None

    def choose() -> str:
        nonlocal lock
        directory, lock = lock_directory(out, resolved, resume, force)
        return str(directory.path)

    try:
        yield RunDirectory(Path(ranks.from_first(choose))).hold()
    finally:
        if lock is not None:
            lock.release()


def _finished_before(
    catalogue: Catalogue, resolved: ResolvedRecipe, directory: RunDirectory, console: Console
) -> RunResult:
    console.line(f"{directory.path} is finished already")
    CheckpointFolder(directory.checkpoints).remove()
    result = RunResult.read(directory.path)
    complete_report(directory, result, resolved, catalogue, console)
    return result


def _shared(ranks: Ranks, directory: RunDirectory, make: Callable[[], RunResult]) -> RunResult:
    """Return on every rank the result that ``make`` returns on the first."""
    content = ranks.from_first(lambda: make().model_dump(mode="json"))
    return RunResult.model_validate({"path": directory.path, **content})


def _stopped(directory: RunDirectory, goes_on: bool) -> str:
    """Return what to say after a Ctrl-C that the trainer does not take: before training, after it, or a second one."""
    if not goes_on:
        return "stopped; nothing was trained yet"
    saved = any(directory.checkpoints.glob("step-*"))
    so_far = "all up to the last checkpoint is saved" if saved else "nothing was trained yet"
    return f"stopped; {so_far}; go on with: headstock run {directory.path} --resume"


def _run_locked(
    catalogue: Catalogue,
    resolved: ResolvedRecipe,
    directory: RunDirectory,
    *,
    resume: bool,
    force: bool,
    console: Console,
    ranks: Ranks,
) -> RunResult:
    started = time.perf_counter()
    with on_interrupt(lambda: _stopped(directory, goes_on=resume and directory.marker.exists())):
        with ranks.in_turn():
            data = prepare_data(resolved, console)
        device = choose_device(resolved.trainer.device)
        shared_out = resolved.trainer.fsdp and ranks.size > 1
        base = directory.base if ranks.first else None
        module = build_module(resolved, data, base, torch.device("cpu") if shared_out else device)
        digests = ranks.gather(data.digests())
        ranks.from_first(lambda: _claim(directory, resolved, digests or [], force))
    if shared_out:
        _share_out(module, ranks, device, console)
    elif resolved.trainer.fsdp:
        console.line("trainer.fsdp: there is one process, so nothing is shared out")
    settled = ranks.from_first(lambda: settle_precision(resolved.trainer, module, device).precision)
    resolved = replace(resolved, trainer=resolved.trainer.model_copy(update={"precision": settled}))
    rounds = ranks.from_first(lambda: _rounds(directory, resolved, device, resume))
    if ranks.first:
        place = describe_environment(catalogue, device, resolved.seed, ranks.size)
        write_text(directory.environment, seal(place | {"precision": settled, "round_costs": rounds}))
    trainable = count(parameter for parameter in module.parameters() if parameter.requires_grad)
    sizes = ", ".join(f"{len(split)} {name}" for name, split in data.splits.items())
    several = f", {ranks.size} of them" if ranks.size > 1 else ""
    parameters = f"{trainable:,} of {count(module.parameters()):,} parameters"
    console.line(
        f"{sizes} examples; training {parameters} in {settled} on {device.type if several else device}{several}"
    )

    with kept_memory(resolved.trainer, device):
        return _tune(_Run(resolved, module, data, directory, console, ranks, resume, rounds, started))


class _Run(NamedTuple):
    """A run that is ready to be trained.

    Attributes:
        rounds: Whether batches are cut by round costs.
        started: When it began, on the clock that ``time.perf_counter`` reads.
    """

    resolved: ResolvedRecipe
    module: TuningModule
    data: PreparedData
    directory: RunDirectory
    console: Console
    ranks: Ranks
    resume: bool
    rounds: bool
    started: float


def _rounds(directory: RunDirectory, resolved: ResolvedRecipe, device: torch.device, resume: bool) -> bool:
    """Tell whether batches are cut by round costs: so on a GPU, and as before where a run goes on elsewhere."""
    if not (resume and directory.environment.exists()):
        return resolved.trainer.cuda_graphs and device.type == "cuda"
    try:
        return bool(unseal(directory.environment.read_bytes()).get("round_costs", False))
    except ValueError as error:
        raise HeadstockError(f"{directory.environment} is not what was written; --force starts again") from error


def _tune(run: _Run) -> RunResult:
    """Test, train, test again, and write what came of it."""
    resolved, module, data, directory, console, ranks = run[:6]
    shared_out = resolved.trainer.fsdp and ranks.size > 1
    began = time.perf_counter()
    with ranks.in_turn():
        data = replace(data, splits=with_fixed_features(resolved, module, data.splits, console, shared_out))
    encoding = time.perf_counter() - began

    before = _test_before(resolved, module, data.splits["test"], directory, console, ranks)
    trained = _train(run._replace(data=data))
    after = evaluate_split(module, data.splits["test"], resolved.trainer, console, "test after tuning", ranks)

    seconds = encoding, time.perf_counter() - run.started
    result = make_result(resolved, module, data, directory, trained, seconds, (before, after))
    if shared_out:
        from headstock.trainer.parallel.fsdp import gather

        gather(module, ranks)

    def finish() -> RunResult:
        directory.require_held()
        save_model(resolved, module, directory.model, directory.base if directory.base.exists() else None)
        write_predictions(directory.predictions, module.task, data.splits["test"], after, console)
        write_json(directory.results, result.model_dump(mode="json"))
        directory.record(directory.results)
        write_report(directory, result, resolved, module, console)
        CheckpointFolder(directory.checkpoints).remove()
        return result

    return _shared(ranks, directory, finish)


def _share_out(module: TuningModule, ranks: Ranks, device: torch.device, console: Console) -> None:
    from headstock.trainer.parallel.fsdp import shard

    for changed in shard(module, module.backbone, ranks, device):
        console.line(f"trainer.fsdp: all ranks run the same layers, so {changed} is off")


def _claim(directory: RunDirectory, resolved: ResolvedRecipe, digests: list[dict[str, str]], force: bool) -> None:
    """Claim the folder, if all ranks have read the same data."""
    for rank, other in enumerate(digests):
        differing = [split for split in other if other[split] != digests[0][split]]
        if differing:
            raise HeadstockError(
                f"rank {rank} reads other {' and '.join(differing)} data than rank 0; all need the same"
            )
    claim_directory(directory, resolved, digests[0], force)


def _test_before(
    resolved: ResolvedRecipe,
    module: TuningModule,
    test: PreparedSplit,
    directory: RunDirectory,
    console: Console,
    ranks: Ranks,
) -> TestResult:
    """Return the test before tuning, if need be from an interrupted run. Only the first rank has its details."""
    if not ranks.from_first(directory.before.exists):
        evaluation = evaluate_split(module, test, resolved.trainer, console, "test before tuning", ranks)
        result = TestResult(metrics=evaluation.metrics, details=evaluation.details)
        if ranks.first:
            write_text(directory.before, seal(result.model_dump(mode="json")))
        return result
    return TestResult.model_validate(ranks.from_first(lambda: _read_before(directory).model_dump(mode="json")))


def _read_before(directory: RunDirectory) -> TestResult:
    try:
        return TestResult.model_validate(unseal(directory.before.read_bytes()))
    except ValueError as error:
        raise HeadstockError(
            f"{directory.before} is not what was written; delete it, and --resume tests the untuned model again"
        ) from error


def _train(run: _Run) -> TrainResult:
    resolved, module, data, directory, console, ranks = run[:6]
    config, train = resolved.trainer, data.splits["train"]
    device = next(module.parameters()).device
    validation = data.splits["validation"]
    limit = cost_limit(validation)
    costs = rounded(train.costs) if run.rounds else train.costs
    transfer, recurs = Transfer(device), can_record(config, device, ranks)

    def collate(indices: Indices) -> Batch:
        with round_lengths() if recurs else nullcontext():
            return transfer(train.batch(indices, module.backbone, module.task))

    name = config.metric or module.task.metrics[0].name
    better = next((metric.better for metric in module.task.metrics if metric.name == name), "lower")
    trainer = Trainer(
        module,
        [
            ParameterGroup(_trainable(module.backbone), config.learning_rate),
            ParameterGroup(_trainable(module.head), config.head_learning_rate or config.learning_rate),
        ],
        BatchPlan(costs, config.batch_size, config.batch_cost, resolved.seed),
        collate,
        config,
        resolved.seed,
        (name, better),
        Surroundings(
            validate=lambda: evaluate_split(module, validation, config, console, "validate", ranks, limit).metrics,
            checkpoints=CheckpointFolder(directory.checkpoints, directory.require_held),
            log=lambda keep: TrainingLog(directory.path, config.tensorboard, keep) if ranks.first else NoLog(),
            console=console,
            resume_hint=f"headstock run {directory.path} --resume{_on_any_number(ranks)}",
            name_example=train.where,
            ranks=ranks,
        ),
    )
    limit.relieve = trainer.relieve
    if run.resume:
        trainer.resume()
    return trainer.fit()


def _on_any_number(ranks: Ranks) -> str:
    return " (with torchrun as before, on any number of devices)" if ranks.size > 1 else ""


def _trainable(module: torch.nn.Module) -> list[torch.nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]
