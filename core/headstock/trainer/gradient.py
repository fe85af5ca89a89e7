"""The gradient of one optimizer step, summed over its batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from headstock.interfaces import Batch, StepOutput
from headstock.trainer.batches import Indices
from headstock.trainer.buffers import BufferCopy
from headstock.trainer.config import TrainerConfig
from headstock.trainer.precision import autocast
from headstock_registry import HeadstockError


class Gradient:
    """Sums loss and gradient over batches.

    Args:
        model: Called with a batch in training mode, returns outputs and loss.
        collate: Puts examples together by number, on the training device.
        config: The recipe's ``trainer`` section.
        seed: Seed of everything random.
        device: Where the model is.
    """

    def __init__(
        self,
        model: nn.Module,
        collate: Callable[[Indices], Batch],
        config: TrainerConfig,
        seed: int,
        device: torch.device,
    ) -> None:
        self._model, self._collate, self._config = model, collate, config
        self._seed, self._device = seed, device
        self.buffers = BufferCopy(model)
        """The model's buffers as they were before the last :meth:`accumulate`."""

    def accumulate(self, batches: Sequence[Indices], step: int) -> tuple[Tensor, Tensor]:
        """Add the gradients of the summed loss over ``batches`` to the parameters; return summed loss and count.

        Raises:
            HeadstockError: the task gives no loss.
        """
        self.buffers.take()
        total = torch.zeros((), device=self._device)
        count = torch.zeros((), device=self._device)
        for number, indices in enumerate(batches):
            seed_everything(self._seed, step, number)
            batch = self._collate(indices)
            with autocast(self._config, self._device):
                output: StepOutput = self._model(batch)
            if output.loss is None:
                raise HeadstockError("the task gave no loss for a training batch")
            output.loss.total.backward()  # type: ignore[no-untyped-call]
            total += output.loss.total.detach()
            count += output.loss.count
        return total, count


def seed_everything(seed: int, step: int, number: int) -> None:
    """Seed torch for one batch, from the run's seed, the step and the batch's number within it.

    So dropout and augmentation do not depend on what ran before, and a resumed run needs no random state from disk.
    """
    value = (seed * 1_000_003 + step) * 1_009 + number
    # torch.manual_seed would note a stack trace in every step while CUDA is not in use.
    torch.default_generator.manual_seed(value)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(value)
