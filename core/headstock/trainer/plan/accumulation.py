"""Which batches make up which optimizer step, from any position in a run on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from headstock.trainer.config import MANY, TrainerConfig
from headstock.trainer.plan.batches import BatchPlan, Indices


class Window(NamedTuple):
    """The batches of one optimizer step.

    Attributes:
        epoch: Index of the epoch.
        end: Index within the epoch of the batch after these.
        batches: Example indices of each batch.
        ends_epoch: Whether these are the epoch's last.
    """

    epoch: int
    end: int
    batches: list[Indices]
    ends_epoch: bool


def windows(plan: BatchPlan, config: TrainerConfig, epoch: int = 0, batch: int = 0) -> Iterator[Window]:
    """Yield the steps of a run in order, from a batch of an epoch on (both from 0), to the last epoch's end."""
    size = config.gradient_accumulation_steps
    for current in range(epoch, config.epochs):
        batches = plan.epoch(current)
        for start in range(batch if current == epoch else 0, len(batches), size):
            end = start + size
            yield Window(current, end, batches[start:end], end >= len(batches))


def total_steps(plan: BatchPlan, config: TrainerConfig) -> int:
    """Return how many optimizer steps a full run takes: those of all epochs, ``max_steps`` at most."""
    size = config.gradient_accumulation_steps
    if plan.uniform:
        return min(config.epochs * -(-len(plan.epoch(0)) // size), config.max_steps or MANY)
    steps = 0
    for epoch in range(config.epochs):
        steps += -(-len(plan.epoch(epoch)) // size)
        if config.max_steps is not None and steps >= config.max_steps:
            return config.max_steps
    return steps
