"""Predictions and metrics of a model on a split, in the caller's order."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import torch

from headstock.console import Console
from headstock.distributed import ALONE, Ranks
from headstock.engine.models.module import TuningModule
from headstock.engine.passes.decoding import Decoder
from headstock.engine.passes.loop import Pass
from headstock.interfaces import Batch, Details
from headstock.preprocessing.prepare import PreparedSplit
from headstock.trainer.config import TrainerConfig
from headstock.trainer.plan.batches import Indices
from headstock.trainer.step.out_of_memory import CostLimit
from headstock.trainer.step.transfer import Transfer


class Evaluation(NamedTuple):
    """What a model makes of a split.

    Attributes:
        metrics: Figures by name, ``loss`` first; empty when references are not known.
        predictions: One JSON value an example, in the split's order.
        details: Metrics per class and the like.
        examples: How many examples were evaluated.
        skipped: One line for each row that was left out because it cannot be used.
        notes: Of how many examples something was cut, dropped or changed, or scored without a loss, by what it was.
    """

    metrics: dict[str, float]
    predictions: list[Any]
    details: Details
    examples: int
    skipped: list[str]
    notes: dict[str, int]


class _BatchLoss(NamedTuple):
    """Summed loss of a batch, and what it sums over."""

    total: float
    counted: float


def predict_split(
    module: TuningModule,
    split: PreparedSplit,
    config: TrainerConfig,
    console: Console,
    label: str,
    ranks: Ranks = ALONE,
    limit: CostLimit | None = None,
    top_k: int | None = None,
) -> tuple[list[Any], float | None]:
    """Return a prediction for each example, in order, and the mean loss where references are known.

    Results are the same to the bit on any number of ranks; only the first rank returns them, the others ``None`` for
    each example and for the loss. A ``limit`` of the split (:func:`headstock.engine.passes.loop.split_cost_limit`)
    remembers from one call to the next what did not fit into memory. With ``top_k`` a prediction has so many answers.

    Raises:
        HeadstockError: with ``fsdp``, a batch is too large for the memory.
        DoesNotFitError: an example is too large for the memory, even alone; names file and row.
    """
    loop = Pass(module, split, config, ranks, limit)
    decode = module.task.decode if top_k is None else partial(module.task.decode_top, count=top_k)
    transfer, decoder = Transfer(loop.device), Decoder(decode, len(split), loop.device)
    sums = torch.zeros(len(loop.batches), 2, device=loop.device)

    def predict(index: int, indices: Indices, batch: Batch) -> None:
        output = module(transfer(batch))
        decoder.push(indices, batch, output.outputs)
        if output.loss is not None:
            sums[index] += torch.stack([output.loss.total.float(), output.loss.count.to(loop.device).float()])

    loop.run(predict, console, label)
    decoder.finish()
    losses = [_BatchLoss(*each) for each in sums.tolist()]
    if ranks.size > 1:
        gathered = _gathered(loop, decoder.predictions, losses, ranks)
        if gathered is None:
            return decoder.predictions, None
        losses = gathered
    return decoder.predictions, _mean(losses) if split.targets else None


def evaluate_split(
    module: TuningModule,
    split: PreparedSplit,
    config: TrainerConfig,
    console: Console,
    label: str,
    ranks: Ranks = ALONE,
    limit: CostLimit | None = None,
) -> Evaluation:
    """Return metrics, predictions and details on a split whose references are known.

    Metrics are computed once, from all predictions, and are the same on all ranks; predictions and details are the
    first rank's.
    """
    predictions, loss = predict_split(module, split, config, console, label, ranks, limit)
    references = split.split.references

    details = Details()

    def score() -> dict[str, float]:
        nonlocal details
        figures = {} if loss is None else {"loss": loss}
        figures.update(module.task.score(predictions, references))
        details = module.task.details(predictions, references)
        return figures

    metrics: dict[str, float] = ranks.from_first(score)
    notes = {what: noted.examples for what, noted in split.notes.items()}
    return Evaluation(metrics, predictions, details, len(split), list(split.split.skipped), notes)


def _gathered(loop: Pass, predictions: list[Any], losses: list[_BatchLoss], ranks: Ranks) -> list[_BatchLoss] | None:
    """On the first rank, put the other ranks' predictions in and return the losses of all batches; else ``None``."""
    found = {index: predictions[index] for indices in loop.batches for index in indices.tolist()}
    parts = ranks.gather([list(found.items()), losses])
    if parts is None:
        return None
    for theirs, _ in parts[1:]:
        for index, prediction in theirs:
            predictions[index] = prediction
    by_rank = [[_BatchLoss(*each) for each in sums] for _, sums in parts]
    longest = max(map(len, by_rank))
    return [sums[position] for position in range(longest) for sums in by_rank if position < len(sums)]


def _mean(losses: list[_BatchLoss]) -> float:
    """Return the mean of what batches sum over."""
    count = sum(loss.counted for loss in losses)
    return sum(loss.total for loss in losses) / count if count else math.nan
