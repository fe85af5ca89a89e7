"""The gradient of one optimizer step on several ranks: each has the model or a shard of it, and some of the batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from headstock.distributed import Ranks
from headstock.interfaces import Batch, StepOutput
from headstock.trainer.config import TrainerConfig
from headstock.trainer.parallel.fsdp import is_sharded
from headstock.trainer.plan.batches import Indices
from headstock.trainer.plan.rank_split import split_over_ranks
from headstock.trainer.step.buffer_snapshot import BufferSnapshot
from headstock.trainer.step.gradient import seed_everything
from headstock.trainer.step.out_of_memory import OUT_OF_MEMORY
from headstock.trainer.step.precision import autocast
from headstock_registry import HeadstockError


class SummedLoss(nn.Module):
    """The loss of a batch, and nothing else of what the model returns.

    ``DistributedDataParallel`` looks at what ``forward`` returns to find out which parameters were used, so outputs
    that the loss is not made of must not be among it.

    Args:
        model: Called with a batch in training mode, returns outputs and loss.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return summed loss and count, scalar tensors.

        Raises:
            HeadstockError: the task gives no loss.
        """
        output: StepOutput = self.model(batch)
        loss = output.require_loss()
        return loss.total, loss.count


class DistributedGradient:
    """Sums loss and gradient over a step's batches, of which each rank does some.

    Where each rank has a copy of the model, torch's ``DistributedDataParallel`` sums the gradients bucket by bucket
    beside the last backward pass of a step. What is frozen, and buffers, are left out of it. Parameters that a step
    does not use, on one rank or on all, are looked for in each step: layers may be dropped at random.

    Where each rank has a shard of the model (:mod:`headstock.trainer.parallel.fsdp`), it gets the summed gradients of
    its shard in each backward pass: to wait for the last one would take whole gradients in the meantime.

    Args:
        model: Called with a batch in training mode, returns outputs and loss; the same on all ranks.
        collate: Puts examples together by index, on the training device.
        config: The recipe's ``trainer`` section.
        seed: Seed of everything random.
        device: Where the model is.
        costs: Cost of each example, (N,).
        ranks: The processes of the run.
    """

    def __init__(
        self,
        model: nn.Module,
        collate: Callable[[Indices], Batch],
        config: TrainerConfig,
        seed: int,
        device: torch.device,
        costs: Indices,
        ranks: Ranks,
    ) -> None:
        self._collate, self._config, self._seed, self._device = collate, config, seed, device
        self._costs, self._ranks = costs, ranks
        self.buffers = BufferSnapshot(model)
        """The model's buffers on this rank as they were before the last :meth:`accumulate`."""
        loss = SummedLoss(model)
        self._summed = loss if is_sharded(model) else _replica(loss)

    def accumulate(self, batches: Sequence[Indices], step: int) -> tuple[Tensor, Tensor]:
        """Set the gradients of the summed loss over ``batches``, on all ranks; return its sum and count over all ranks.

        Raises:
            HeadstockError: the task gives no loss, or a batch does not fit into this rank's memory.
        """
        self.buffers.save()
        parts = split_over_ranks(batches, self._costs, self._ranks.rank, self._ranks.size)
        sums = torch.zeros(2, device=self._device)
        for position, part in enumerate(parts, start=1):
            seed_everything(self._seed, step, part.batch, part.piece)
            with self._apart(position < len(parts)), _explained_memory(len(part.examples)):
                batch = self._collate(part.examples)
                with autocast(self._config, self._device):
                    total, count = self._summed(batch)
                # torch divides by the number of ranks.
                (total * (self._ranks.size if part.counts else 0)).backward()
            if part.counts:
                sums[0] += total.detach()
                sums[1] += count
        total, count = self._ranks.sum(sums).unbind()
        return total, count

    def _apart(self, more_to_come: bool) -> AbstractContextManager[None]:
        """Let copies of the model keep their gradients for themselves while more are to be added to them."""
        if more_to_come and isinstance(self._summed, DistributedDataParallel):
            return self._summed.no_sync()
        return nullcontext()


def _replica(loss: SummedLoss) -> DistributedDataParallel:
    left_out = [name for name, _ in loss.named_buffers()]
    left_out += [name for name, parameter in loss.named_parameters() if not parameter.requires_grad]
    leave_out: Any = DistributedDataParallel._set_params_and_buffers_to_ignore_for_model
    leave_out(loss, left_out)
    return DistributedDataParallel(loss, gradient_as_bucket_view=True, find_unused_parameters=True)


@contextmanager
def _explained_memory(examples: int) -> Iterator[None]:
    """Say what to do when memory runs out. The ranks are in the middle of a step, so none can do its part anew."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise HeadstockError(OUT_OF_MEMORY.format(examples)) from error
