"""The gradient of one optimizer step, summed over its batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from headstock.interfaces import Batch, StepOutput
from headstock.trainer.config import TrainerConfig
from headstock.trainer.plan.batches import Indices
from headstock.trainer.step.buffer_snapshot import BufferSnapshot
from headstock.trainer.step.out_of_memory import CostLimit, fits
from headstock.trainer.step.precision import autocast


class Gradient:
    """Sums loss and gradient over batches; a batch that is too large for the memory is cut.

    Args:
        model: Called with a batch in training mode, returns outputs and loss.
        collate: Puts examples together by index, on the training device.
        limit: Cuts batches; it learns what does not fit.
        config: The recipe's ``trainer`` section.
        seed: Seed of everything random.
        device: Where the model is.
    """

    def __init__(
        self,
        model: nn.Module,
        collate: Callable[[Indices], Batch],
        limit: CostLimit,
        config: TrainerConfig,
        seed: int,
        device: torch.device,
    ) -> None:
        self._model, self._collate, self._config = model, collate, config
        self._seed, self._device = seed, device
        self._ready: tuple[Indices, Batch] | None = None
        self.limit = limit
        """Cuts batches that do not fit."""
        self.buffers = BufferSnapshot(model)
        """The model's buffers as they were before the last :meth:`accumulate`."""

    def accumulate(self, batches: Sequence[Indices], step: int) -> tuple[Tensor, Tensor]:
        """Set the parameters' gradients to those of the summed loss over ``batches``; return summed loss and count.

        When memory runs out, part of a gradient may have been added already. So all is done again, in smaller pieces.

        Raises:
            HeadstockError: the task gives no loss.
            DoesNotFitError: an example is too large for the memory, even alone.
        """
        self.buffers.save()
        while True:
            total = torch.zeros((), device=self._device)
            count = torch.zeros((), device=self._device)
            failed = self._add_all(batches, step, total, count)
            if failed is None:
                return total, count
            self._model.zero_grad(set_to_none=True)
            self.buffers.restore()
            if not self.limit.relieve():
                self.limit.lower(failed)

    def _add_all(self, batches: Sequence[Indices], step: int, total: Tensor, count: Tensor) -> Indices | None:
        """Add up loss, count and gradients; return the piece that did not fit into memory, if there is one."""
        for index, batch in enumerate(batches):
            for part, piece in enumerate(self.limit.cut(batch)):
                seed_everything(self._seed, step, index, part)
                if not fits(partial(self._collate_and_add, piece, total, count), self._device):
                    return piece
        return None

    def _collate_and_add(self, piece: Indices, total: Tensor, count: Tensor) -> None:
        batch, self._ready = self.prepare(piece), None
        self.add(batch, total, count)

    def prepare(self, piece: Indices) -> Batch:
        """Return a batch put together, and keep it for the next :meth:`accumulate` that needs it."""
        if self._ready is None or self._ready[0] is not piece:
            self._ready = piece, self._collate(piece)
        return self._ready[1]

    def add(self, batch: Batch, total: Tensor, count: Tensor) -> None:
        """Add a batch's gradient to that of the parameters, its loss to ``total`` and its count to ``count``.

        Raises:
            HeadstockError: the task gives no loss.
        """
        with autocast(self._config, self._device):
            output: StepOutput = self._model(batch)
        loss = output.require_loss()
        loss.total.backward()  # type: ignore[no-untyped-call]
        total += loss.total.detach()
        count += loss.count

    def forward(self, batch: Batch) -> None:
        """Run the model on a batch as in training, without a gradient."""
        with torch.no_grad(), autocast(self._config, self._device):
            self._model(batch)


def seed_everything(seed: int, step: int, batch: int, part: int = 0) -> None:
    """Seed torch for one batch, from the run's seed, the step, the batch's index within it and the index of its part.

    So dropout and augmentation do not depend on what ran before, and a resumed run needs no random state from disk.
    """
    value = (seed * 1_000_003 + step) * 1_009 + batch
    # Far from the seeds of other batches, and within what torch takes.
    value = (value + part * 0x9E3779B97F4A7C15) % 2**63 if part else value
    # torch.manual_seed would note a stack trace in every step while CUDA is not in use.
    torch.default_generator.manual_seed(value)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(value)
