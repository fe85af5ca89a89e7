"""Checks a whole run and counts what it would do, without training."""

from __future__ import annotations

from pathlib import Path

from headstock.console import Console
from headstock.engine.run_directory import RunDirectory, check_directory
from headstock.engine.setup import begin_methods, build_module, check_options, count, prepare_data, settled
from headstock.recipe.resolve import ResolvedRecipe
from headstock.trainer.plan.accumulation import total_steps
from headstock.trainer.plan.batches import BatchPlan
from headstock.trainer.step.precision import settle_precision


def dry_run(resolved: ResolvedRecipe, out: Path | None, console: Console) -> str:
    """Do all that a run does before its first step, and return a summary for people. Only the example cache is written.

    Raises:
        HeadstockError: what the run would raise.
    """
    check_options(resolved)
    if out is not None:
        check_directory(RunDirectory(out), resolved, resume=False, force=False)
    with console.current():
        data = prepare_data(resolved, console, tell=False)
    resolved = settled(data)
    module = build_module(resolved, data)
    begin_methods(module, data)
    device = next(module.parameters()).device
    train, config = data.splits["train"], settle_precision(resolved.trainer, module, device)
    plan = BatchPlan(train.costs, config.batch_size, config.batch_cost, resolved.seed)
    batches = plan.epoch(0)
    padded = sum(len(batch) * int(plan.costs[batch].max()) for batch in batches)
    padding = 1 - plan.costs.sum() / padded
    trainable = count(parameter for parameter in module.parameters() if parameter.requires_grad)
    unit = type(data.backbone).cost_unit
    lines = [
        resolved.to_yaml(),
        *(f"recipe:     {line}" for line in resolved.remarks),
        f"examples:   {', '.join(f'{len(split)} {name}' for name, split in data.splits.items())}",
        f"bad rows:   {sum(len(lines) for lines in data.skipped.values())} left out",
        *(f"data:       {line}" for line in data.lines()),
        f"parameters: {trainable:,} of {count(module.parameters()):,} trained",
        f"batches:    {len(batches)} an epoch, at most {plan.budget} {unit} each, {padding:.1%} padding",
        f"steps:      {total_steps(plan, config)}",
        f"device:     {device}, in {config.precision}",
        "nothing was trained",
    ]
    return "\n".join(lines)
