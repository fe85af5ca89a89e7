"""The gradient of one optimizer step, summed over its batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from headstock.interfaces import Batch
from headstock.ranks import ALONE, Ranks
from headstock.trainer.batches import Indices
from headstock.trainer.config import TrainerConfig
from headstock.trainer.precision import autocast
from headstock.trainer.replicas import Replica
from headstock.trainer.shares import Part

APART = 0x9E37_79B9_7F4A_7C15
"""How far apart the seeds of two parts of a batch are: much further than a run's steps reach."""


class Gradient:
    """Sums loss and gradient over batches.

    Args:
        model: Called with a batch in training mode, returns outputs and loss.
        collate: Puts examples together by number, on the training device.
        config: The recipe's ``trainer`` section.
        seed: Seed of everything random.
        device: Where the model is.
        ranks: The processes of the run, over which everything is summed.
    """

    def __init__(
        self,
        model: nn.Module,
        collate: Callable[[Indices], Batch],
        config: TrainerConfig,
        seed: int,
        device: torch.device,
        ranks: Ranks = ALONE,
    ) -> None:
        self._replica, self._collate, self._config = Replica(model, ranks), collate, config
        self._seed, self._device, self._ranks = seed, device, ranks

    def accumulate(self, parts: Sequence[Part], step: int) -> tuple[Tensor, Tensor]:
        """Add the gradients of the summed loss over the parts of all ranks to the parameters.

        Args:
            parts: This rank's part of the step's batches.
            step: Number of the step, for the random state.

        Returns:
            Summed loss and count, over all ranks; scalar tensors.

        Raises:
            HeadstockError: the task gives no loss.
        """
        total = torch.zeros((), device=self._device)
        count = torch.zeros((), device=self._device)
        for position, part in enumerate(parts, start=1):
            seed_everything(self._seed, step, part.number, part.cut)
            batch = self._collate(part.indices) if len(part.indices) else None
            with self._replica.until_last(position == len(parts)):
                with autocast(self._config, self._device):
                    part_total, part_count = self._replica.loss(batch)
                self._replica.backward(part_total)
            total += part_total.detach()
            count += part_count
        if self._ranks.size > 1:
            total, count = self._ranks.sum(torch.stack([total, count])).unbind()
        return total, count


def seed_everything(seed: int, step: int, number: int, cut: int = 0) -> None:
    """Seed torch for one batch, from the run's seed, the step, the batch's number within it and the part of the batch.

    So dropout and augmentation do not depend on what ran before, and a resumed run needs no random state from disk.
    """
    value = (seed * 1_000_003 + step) * 1_009 + number
    if cut:
        value = (value + cut * APART) % 2**63
    # torch.manual_seed would note a stack trace in every step while CUDA is not in use.
    torch.default_generator.manual_seed(value)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(value)
