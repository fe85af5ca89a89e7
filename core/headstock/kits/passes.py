"""How many epochs a number of training examples wants, for :meth:`headstock.Component.trainer_defaults`."""

from __future__ import annotations

import math

from headstock.interfaces import TrainingFacts

STEPS_PER_EPOCH = 16
"""Batches become smaller where an epoch would have fewer steps than this."""


def passes(
    facts: TrainingFacts, *, steps: int, batch_size: int = 32, smallest: int = 8, least: int = 1, most: int = 100
) -> dict[str, int]:
    """Return ``batch_size``, ``epochs`` and ``patience`` that give a run enough steps.

    With few examples a fixed number of epochs is too few steps to learn anything, and with many more than are needed.
    Batches are halved where an epoch has few steps. Patience is a third of the epochs, and at least 5.

    Args:
        facts: What is known of the run. A batch size or number of epochs that the user gave is reckoned with.
        steps: Optimizer steps that the run should have at least.
        batch_size: Examples in a batch where there are plenty.
        smallest: Examples in a batch where there are few. Batch normalisation wants more than 8.
        least: Epochs at least.
        most: Epochs at most, however few the examples.
    """
    batch = batch_size
    while batch > smallest and facts.examples < STEPS_PER_EPOCH * batch:
        batch //= 2
    batch = int(facts.given.get("batch_size", batch))
    in_a_step = batch * int(facts.given.get("gradient_accumulation_steps", 1))
    epochs = min(max(math.ceil(steps / math.ceil(facts.examples / in_a_step)), least), most)
    epochs = int(facts.given.get("epochs", epochs))
    return {"batch_size": batch, "epochs": epochs, "patience": max(5, math.ceil(epochs / 3))}
