"""A copy of the model on each rank, whose gradients are summed while the backward pass runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from headstock.interfaces import Batch, StepOutput
from headstock.ranks import Ranks
from headstock_registry import HeadstockError


class SummedLoss(nn.Module):
    """The loss of a batch, and nothing else of what the model returns.

    torch's ``DistributedDataParallel`` looks at what ``forward`` returns to find out which parameters were used, so
    outputs that the loss is not made of must not be among it.

    Args:
        model: Called with a batch in training mode, returns outputs and loss.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch | None) -> tuple[Tensor, Tensor]:
        """Return summed loss and count, scalar tensors.

        Without a batch both are zero, and a parameter takes part with a gradient of zero: a rank that has nothing to do
        still has to meet the others in the backward pass. The model is not run, so its buffers stay as they are.

        Raises:
            HeadstockError: the task gives no loss.
        """
        if batch is None:
            anchor = [parameter for parameter in self.model.parameters() if parameter.requires_grad][-1]
            return anchor.flatten()[:0].sum(), torch.zeros((), device=anchor.device)
        output: StepOutput = self.model(batch)
        if output.loss is None:
            raise HeadstockError("the task gave no loss for a training batch")
        return output.loss.total, output.loss.count


class Replica:
    """This rank's copy of the model.

    ``DistributedDataParallel`` sums gradients bucket by bucket beside the backward pass. What is frozen and what is a
    buffer is left out of it. Parameters that a step does not use, on one rank or on all, are looked for in each step:
    layers may be dropped at random and a rank's part may be empty.

    Args:
        model: Called with a batch in training mode, returns outputs and loss; the same on all ranks.
        ranks: The processes of the run.
    """

    def __init__(self, model: nn.Module, ranks: Ranks) -> None:
        self._ranks = ranks
        loss = SummedLoss(model)
        self._call: Callable[[Batch | None], tuple[Tensor, Tensor]] = loss
        self._local: Callable[[], AbstractContextManager[None]] = nullcontext
        if ranks.size > 1:
            from torch.nn.parallel import DistributedDataParallel

            left_out = [name for name, _ in loss.named_buffers()]
            left_out += [name for name, parameter in loss.named_parameters() if not parameter.requires_grad]
            leave_out: Any = DistributedDataParallel._set_params_and_buffers_to_ignore_for_model
            leave_out(loss, left_out)
            replica = DistributedDataParallel(loss, gradient_as_bucket_view=True, find_unused_parameters=True)
            self._call, self._local = replica, replica.no_sync

    def loss(self, batch: Batch | None) -> tuple[Tensor, Tensor]:
        """Return summed loss and count of this rank's batch; see :meth:`SummedLoss.forward`."""
        return self._call(batch)

    def until_last(self, last: bool) -> AbstractContextManager[None]:
        """Keep gradients to this rank, for forward and backward of every batch of a step but the last."""
        return nullcontext() if last else self._local()

    def backward(self, total: Tensor) -> None:
        """Add the gradient of a loss that is summed over ranks."""
        # DistributedDataParallel divides by the number of ranks.
        (total * self._ranks.size if self._ranks.size > 1 else total).backward()  # type: ignore[no-untyped-call]
