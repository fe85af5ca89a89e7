"""Chooses the best checkpoint by a validation metric, and says when to stop."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict

from headstock_registry import HeadstockError


class BestSoFar(BaseModel):
    """The best validation so far and how many have passed since; frozen, each validation makes a new one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str
    better: str
    value: float | None = None
    loss: float | None = None
    step: int = 0
    stale: int = 0

    def after(self, metrics: dict[str, float], step: int) -> BestSoFar:
        """Return the record after one more validation. Of two with the same value the one of lower loss is better.

        Some metrics stand still while a model learns: a word error rate stays at 1 until the first word is right.

        Raises:
            HeadstockError: the metric is not among those computed, or is not a number.
        """
        if self.metric not in metrics:
            raise HeadstockError(f"validation gave no metric '{self.metric}'; it gave: {', '.join(sorted(metrics))}")
        value = metrics[self.metric]
        if math.isnan(value):
            raise HeadstockError(f"validation metric '{self.metric}' is not a number at step {step}")
        loss = metrics.get("loss")
        gain = math.inf if self.value is None else (value - self.value) * (1 if self.better == "higher" else -1)
        lower_loss = loss is not None and self.loss is not None and loss < self.loss
        if gain > 0 or (gain == 0 and lower_loss):
            return self.model_copy(update={"value": value, "loss": loss, "step": step, "stale": 0})
        return self.model_copy(update={"stale": self.stale + 1})
