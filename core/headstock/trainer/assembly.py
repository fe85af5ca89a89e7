"""Makes the parts of a trainer, and a trainer of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from headstock.distributed import Ranks
from headstock.interfaces import Batch
from headstock.trainer.config import TrainerConfig
from headstock.trainer.kernels.one_thread import one_thread_if_small
from headstock.trainer.plan.batches import BatchPlan, Indices
from headstock.trainer.replay.cuda_graphs import CudaGraphCapturer
from headstock.trainer.replay.replayed_steps import ReplayedSteps, can_replay
from headstock.trainer.state.training_state import TrainingState
from headstock.trainer.step.gradient import Gradient
from headstock.trainer.step.optimizer import ParameterGroup, build_optimizer
from headstock.trainer.step.out_of_memory import CostLimit
from headstock.trainer.step.precision import settle_precision
from headstock.trainer.step.update import OptimizerStep
from headstock.trainer.trainer import Surroundings, Trainer, TrainerParts
from headstock_registry import HeadstockError

if TYPE_CHECKING:
    from headstock.trainer.parallel.ddp import DistributedGradient

SMALLER = (
    "shorten it or leave it out, or try trainer.gradient_checkpointing=true, trainer.precision=bf16 "
    "or a smaller backbone"
)
"""What to do about an example that is too large to train on."""


def build_trainer(
    model: nn.Module,
    groups: Sequence[ParameterGroup],
    plan: BatchPlan,
    collate: Callable[[Indices], Batch],
    config: TrainerConfig,
    seed: int,
    metric: tuple[str, str],
    around: Surroundings,
) -> Trainer:
    """Return a trainer.

    Args:
        model: Called with a batch in training mode, returns outputs and loss.
        groups: The parameters to train.
        plan: Which examples make up which batch.
        collate: Puts examples together by index, on the training device.
        config: The recipe's ``trainer`` section.
        seed: Seed of everything random.
        metric: Name of the validation metric that chooses, and whether ``higher`` or ``lower`` is better.
        around: Validation, checkpoints, log, console.

    Raises:
        HeadstockError: there is no parameter to train.
    """
    return Trainer(model, plan, build_parts(model, groups, plan, collate, config, seed, around), metric, around)


def build_parts(
    model: nn.Module,
    groups: Sequence[ParameterGroup],
    plan: BatchPlan,
    collate: Callable[[Indices], Batch],
    config: TrainerConfig,
    seed: int,
    around: Surroundings,
) -> TrainerParts:
    """Return what :func:`build_trainer` gives a trainer; the arguments are the same.

    Raises:
        HeadstockError: there is no parameter to train.
    """
    parameters = [parameter for group in groups for parameter in group.parameters]
    if not parameters:
        raise HeadstockError("there is nothing to train: the adapter freezes the backbone and the task has no head")
    device, ranks = parameters[0].device, around.ranks
    config = settle_precision(config, model, device)
    replays = can_replay(config, device, ranks)
    optimizer = build_optimizer(groups, config.weight_decay, capturable=replays)
    limit = CostLimit(plan.costs, around.name_example, SMALLER, around.relief)
    gradient = _gradient(model, plan, collate, config, seed, limit, device, ranks)
    step = OptimizerStep(gradient, optimizer, parameters, config)
    replay = None
    if replays and isinstance(gradient, Gradient):
        capturer = CudaGraphCapturer(device)
        replay = ReplayedSteps(model, gradient, step, parameters, seed, capturer, around.console.line, around.relief)
    sharded = config.fsdp and ranks.size > 1
    state = TrainingState(model, optimizer, around.checkpoints, ranks, device, sharded)
    threads = partial(one_thread_if_small, model, lambda: collate(plan.costliest()), config, device, ranks)
    return TrainerParts(config, parameters, optimizer, limit, gradient, step, replay, state, threads)


def _gradient(
    model: nn.Module,
    plan: BatchPlan,
    collate: Callable[[Indices], Batch],
    config: TrainerConfig,
    seed: int,
    limit: CostLimit,
    device: torch.device,
    ranks: Ranks,
) -> Gradient | DistributedGradient:
    """Return what sums a step's gradient: in this process alone, or with the other ranks."""
    if ranks.size == 1:
        return Gradient(model, collate, limit, config, seed, device)
    from headstock.trainer.parallel.ddp import DistributedGradient

    return DistributedGradient(model, collate, config, seed, device, plan.costs, ranks)
