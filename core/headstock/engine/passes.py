"""Predictions and metrics of a model on a split, in the caller's order."""

from __future__ import annotations

import math
from contextlib import nullcontext
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from headstock.attribution import note_rows
from headstock.console import Console
from headstock.distributed import ALONE, Ranks
from headstock.engine.decoding import Decoder
from headstock.engine.module import TuningModule
from headstock.interfaces import Details
from headstock.preprocessing.prepare import PreparedSplit
from headstock.trainer.config import TrainerConfig
from headstock.trainer.kernels.attention import planless_attention
from headstock.trainer.kernels.glibc_heap import kept_memory
from headstock.trainer.kernels.packed_linear import packed_weights
from headstock.trainer.plan.batches import BatchPlan, Indices
from headstock.trainer.step.out_of_memory import OUT_OF_MEMORY, CostLimit, fits
from headstock.trainer.step.precision import autocast
from headstock.trainer.step.transfer import Transfer
from headstock_registry import HeadstockError

SEVERAL = 4
"""Batches from which on it pays to keep their memory: what is kept has to be handed back at the end."""


class Evaluation(NamedTuple):
    """What a model makes of a split.

    Attributes:
        metrics: Figures by name, ``loss`` first; empty when references are not known.
        predictions: One JSON value an example, in the split's order.
        details: Metrics per class and the like.
        examples: How many examples were evaluated.
        skipped: One line for each row that was left out because it cannot be used.
    """

    metrics: dict[str, float]
    predictions: list[Any]
    details: Details
    examples: int
    skipped: list[str]


def predict_split(
    module: TuningModule,
    split: PreparedSplit,
    config: TrainerConfig,
    console: Console,
    label: str,
    ranks: Ranks = ALONE,
    limit: CostLimit | None = None,
) -> tuple[list[Any], float | None]:
    """Return a prediction for each example, in order, and the mean loss where references are known.

    The ranks take the batches of a single process in turn, so their results are the same to the bit; only the first
    rank returns them, the others ``None`` for each example and for the loss. A batch that is too large for the memory
    is cut, and so are later ones of its cost; not so with ``fsdp``, where ranks call the model equally often.
    A ``limit`` of the split (:func:`cost_limit`) remembers that from one call to the next.

    Raises:
        HeadstockError: with ``fsdp``, a batch is too large for the memory.
        DoesNotFitError: an example is too large for the memory, even alone; names file and row.
    """
    plan = BatchPlan(split.costs, config.batch_size * 2, _doubled(config.batch_cost), seed=0)
    device = next(module.parameters()).device
    losses: list[Tensor] = []
    ordered = plan.ordered()
    batches = ordered[ranks.rank :: ranks.size]
    together = config.fsdp and ranks.size > 1
    limit = limit or cost_limit(split)
    transfer, decoder = Transfer(device), Decoder(module.task, len(split), device)

    def predict(indices: Indices) -> None:
        batch = split.batch(indices, module.backbone, module.task)
        try:
            with autocast(config, device):
                output = module(transfer(batch))
            decoder.push(indices, batch, output.outputs)
        except Exception as error:
            note_rows(error, map(split.where, indices))
            raise
        if output.loss is not None:
            losses[-1] += torch.stack([output.loss.total.float(), output.loss.count.to(device).float()])

    module.eval()
    with (
        torch.no_grad(),
        kept_memory(config, device) if len(batches) >= SEVERAL else nullcontext(),
        planless_attention(config, device),
        packed_weights(module, config, device),
        console.bar(label, len(batches)) as bar,
    ):
        for indices in batches:
            losses.append(torch.zeros(2, device=device))
            pieces = limit.cut(indices)
            while pieces:
                piece = pieces.pop(0)
                if not fits(partial(predict, piece), device):
                    if together:
                        raise HeadstockError(f"{label}: {OUT_OF_MEMORY.format(len(piece))}")
                    if not limit.relieve():
                        limit.lower(piece)
                        console.line(
                            f"{label}: memory ran out; batches of a cost above {limit.value} are done in pieces"
                        )
                    pieces = [part for rest in (piece, *pieces) for part in limit.cut(rest)]
            bar.advance(1, len(indices))
        decoder.finish()
        if together and len(batches) * ranks.size < len(ordered):
            # The others, which have a batch more, need this rank's share of the parameters for it.
            with autocast(config, device):
                module(split.batch(ordered[0], module.backbone, module.task).to(device))
    sums: list[list[float]] = torch.stack(losses).tolist() if losses else []
    predictions = decoder.predictions
    if ranks.size > 1:
        found = {index: predictions[index] for indices in batches for index in indices.tolist()}
        parts = ranks.gather([list(found.items()), sums])
        if parts is None:
            return predictions, None
        for part, _ in parts[1:]:
            for index, prediction in part:
                predictions[index] = prediction
        in_order: list[list[float]] = [[]] * sum(len(part) for _, part in parts)
        for rank, (_, part) in enumerate(parts):
            in_order[rank :: ranks.size] = part
        sums = in_order
    return predictions, _mean(sums) if split.targets else None


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
    return Evaluation(metrics, predictions, details, len(split), list(split.split.skipped))


def cost_limit(split: PreparedSplit) -> CostLimit:
    """Return what learns how costly a batch of a split may be, and names an example that does not fit alone."""
    return CostLimit(split.costs, split.where, "shorten it or leave it out, or take a smaller backbone")


def _mean(sums: list[list[float]]) -> float:
    """Return the mean of what batches sum over."""
    count = sum(count for _, count in sums)
    return sum(total for total, _ in sums) / count if count else math.nan


def _doubled(budget: int | None) -> int | None:
    """Without gradients to keep, twice the budget fits in the same memory."""
    return None if budget is None else budget * 2
