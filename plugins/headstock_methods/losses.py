"""Losses put together so that what is counted stays as it is."""

from __future__ import annotations

from headstock import Loss


def mean_of(*losses: Loss) -> Loss:
    """Return the mean of losses of one batch, which all count the same."""
    total = losses[0].total
    for loss in losses[1:]:
        total = total + loss.total
    return Loss(total / len(losses), losses[0].count)


def added(loss: Loss, other: Loss, weight: float) -> Loss:
    """Return a loss with another one added that counts the same, such as the divergence of its task's outputs."""
    return Loss(loss.total + weight * other.total, loss.count)
