"""The one loop without gradients: over a split's batches, in evaluation mode, cutting what does not fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

import torch

from headstock.attribution import note_rows
from headstock.console import Console
from headstock.distributed import ALONE, Ranks
from headstock.engine.models.module import TuningModule
from headstock.interfaces import Batch
from headstock.preprocessing.prepare import PreparedSplit
from headstock.trainer.config import TrainerConfig
from headstock.trainer.kernels.attention import attention_without_cudnn
from headstock.trainer.kernels.glibc_heap import kept_memory
from headstock.trainer.kernels.packed_linear import packed_weights
from headstock.trainer.plan.batches import BatchPlan, Indices
from headstock.trainer.step.out_of_memory import OUT_OF_MEMORY, CostLimit, MemoryRelief, fits
from headstock.trainer.step.precision import autocast
from headstock_registry import HeadstockError

SEVERAL = 4
"""Batches from which on it pays to keep their memory: what is kept has to be handed back at the end."""

Work = Callable[[int, Indices, Batch], None]
"""Takes the index of a batch in this rank's list, the examples of a piece of it, and the piece, on the host."""


class Pass:
    """One pass of a model over a split without gradients.

    The ranks take the batches of a single process in turn. A batch that is too large for the memory is cut, and so are
    later ones of its cost; not so with ``fsdp``, where ranks call the model equally often.

    Args:
        module: The model, on its device.
        split: The examples.
        config: How batches are made, and in which precision the model runs.
        ranks: The processes of the run.
        limit: Learns what does not fit; one of its own where none is given (see :func:`split_cost_limit`).
    """

    def __init__(
        self,
        module: TuningModule,
        split: PreparedSplit,
        config: TrainerConfig,
        ranks: Ranks = ALONE,
        limit: CostLimit | None = None,
    ) -> None:
        self._module, self._split, self._config, self._ranks = module, split, config, ranks
        self._limit = limit or split_cost_limit(split)
        self._together = config.fsdp and ranks.size > 1
        plan = BatchPlan(split.costs, config.batch_size * 2, _doubled(config.batch_cost), seed=0)
        self._all = split.apart(plan.ordered())
        self.device = next(module.parameters()).device
        """Where the model is."""
        self.batches = self._all[ranks.rank :: ranks.size]
        """The examples of each of this rank's batches."""

    def run(self, work: Work, console: Console, label: str) -> None:
        """Call ``work`` for each of this rank's batches, in one piece or several.

        Where memory runs out over a piece, its work is done again with parts of the piece: ``work`` must count nothing
        before it is through.

        Args:
            work: What to do, in the model's precision.
            console: Where to show progress.
            label: What is done, for the progress bar.

        Raises:
            HeadstockError: with ``fsdp``, a batch is too large for the memory.
            DoesNotFitError: an example is too large for the memory, even alone; names file and row.
        """
        module, config, device = self._module, self._config, self.device
        with (
            evaluating(module),
            torch.no_grad(),
            kept_memory(config, device) if len(self.batches) >= SEVERAL else nullcontext(),
            attention_without_cudnn(config, device),
            packed_weights(module, config, device),
            console.bar(label, len(self.batches)) as bar,
        ):
            for index, indices in enumerate(self.batches):
                self._work_in_pieces(partial(self._work_on, work, index), indices, console, label)
                bar.advance(1, len(indices))
            if self._together and len(self.batches) * self._ranks.size < len(self._all):
                # The others, which have a batch more, need this rank's shard of the parameters for it.
                with autocast(config, device):
                    module(self._collated(self._all[0]).to(device))

    def _work_in_pieces(self, work: Callable[[Indices], None], indices: Indices, console: Console, label: str) -> None:
        pieces = self._limit.cut(indices)
        while pieces:
            piece = pieces.pop(0)
            if fits(partial(work, piece), self.device):
                continue
            if self._together:
                raise HeadstockError(f"{label}: {OUT_OF_MEMORY.format(len(piece))}")
            if not self._limit.relieve():
                self._limit.lower(piece)
                console.line(f"{label}: memory ran out; batches of a cost above {self._limit.value} are done in pieces")
            pieces = [part for rest in (piece, *pieces) for part in self._limit.cut(rest)]

    def _work_on(self, work: Work, index: int, piece: Indices) -> None:
        batch = self._collated(piece)
        try:
            with autocast(self._config, self.device):
                work(index, piece, batch)
        except Exception as error:
            note_rows(error, map(self._split.where, piece.tolist()))
            raise

    def _collated(self, indices: Indices) -> Batch:
        return self._split.batch(indices, self._module.backbone, self._module.task)


def split_cost_limit(split: PreparedSplit, relief: MemoryRelief | None = None) -> CostLimit:
    """Return what learns how costly a batch of a split may be, and names an example that does not fit alone.

    Args:
        split: The examples.
        relief: What may be freed before batches are cut.
    """
    return CostLimit(split.costs, split.where, "shorten it or leave it out, or take a smaller backbone", relief)


@contextmanager
def evaluating(module: TuningModule) -> Iterator[None]:
    """Keep a model in evaluation mode meanwhile."""
    before = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(before)


def _doubled(budget: int | None) -> int | None:
    """Without gradients to keep, twice the budget fits in the same memory."""
    return None if budget is None else budget * 2
