"""One optimizer step, eager."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor, nn

from headstock.trainer.config import TrainerConfig
from headstock.trainer.kernels.embedding_gradients import GradientBuffers
from headstock.trainer.plan.batches import Indices
from headstock.trainer.step.adamw import NO_ROWS, AdamW, Rows
from headstock.trainer.step.gradient import Gradient
from headstock.trainer.step.optimizer import scaled_step

if TYPE_CHECKING:
    from headstock.trainer.parallel.ddp import DistributedGradient


class Outcome(NamedTuple):
    """What an optimizer step gave, scalar tensors on the device.

    Attributes:
        total: The summed loss.
        counted: What it sums over.
        norm: The gradient's norm, before clipping.
        unsound: Whether loss or norm was not finite, so that the step changed nothing.
    """

    total: Tensor
    counted: Tensor
    norm: Tensor
    unsound: Tensor


class OptimizerStep:
    """Sums the gradient over a step's batches and updates the parameters.

    Args:
        gradient: Sums the gradient.
        optimizer: What :func:`~headstock.trainer.step.optimizer.build_optimizer` made.
        parameters: All that it trains.
        config: The recipe's ``trainer`` section.
    """

    def __init__(
        self,
        gradient: Gradient | DistributedGradient,
        optimizer: AdamW,
        parameters: Sequence[nn.Parameter],
        config: TrainerConfig,
    ) -> None:
        self._gradient, self._parameters, self._config = gradient, parameters, config
        self.optimizer = optimizer

    def run(self, batches: Sequence[Indices], step: int, buffers: GradientBuffers) -> Outcome:
        """Take optimizer step ``step`` (from 0) with the learning rate that is set; asks nothing of the device.

        Raises:
            HeadstockError: the task gives no loss, or memory ran out over the optimizer's state.
            DoesNotFitError: an example is too large for the memory, even alone.
        """
        total, count = self._gradient.accumulate(batches, step)
        return self.update(buffers.gradients(self._parameters), total, count, rows=buffers.rows())

    def update(
        self,
        gradients: Sequence[Tensor],
        total: Tensor,
        count: Tensor,
        hold: Tensor | None = None,
        rows: Rows = NO_ROWS,
    ) -> Outcome:
        """Update the parameters and let go of the gradients.

        Args:
            gradients: Those of all that is trained, summed; entries that are zero may be left out.
            total: The summed loss.
            count: What it sums over.
            hold: If true, a bool scalar tensor, nothing is updated.
            rows: Where the gradients of large tables may differ from zero.
        """
        norm, unsound = scaled_step(self.optimizer, gradients, total, count, self._config.max_grad_norm, hold, rows)
        if self._config.on_nonfinite == "skip":
            self._gradient.buffers.restore_where(unsound)
        for parameter in self._parameters:
            parameter.grad = None
        return Outcome(total, count, norm, unsound)
