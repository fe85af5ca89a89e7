"""How far predicted distributions lie apart, for methods that compare outputs."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from headstock.interfaces import Loss

__all__ = ["categorical_divergence", "independent_divergence"]


def categorical_divergence(logits: Tensor, reference: Tensor, real: Tensor | None = None) -> Loss:
    """Return the Kullback-Leibler divergence KL(reference ‖ logits) of softmax distributions, summed.

    Args:
        logits: (…, C).
        reference: The logits of the distributions that count as right, (…, C).
        real: Tensor (…): which of the distributions count, or how much; default all.
    """
    predicted, wanted = logits.float().log_softmax(dim=-1), reference.float().log_softmax(dim=-1)
    each = F.kl_div(predicted, wanted, reduction="none", log_target=True).sum(dim=-1)
    if real is None:
        return Loss(each.sum(), each.new_full((), float(each.numel())))
    return Loss((each * real).sum(), real.sum().to(each.dtype))


def independent_divergence(logits: Tensor, reference: Tensor) -> Loss:
    """Return the mean over labels of KL(reference ‖ logits) of yes-or-no distributions, summed over examples.

    Args:
        logits: (B, C), of which the sigmoid is the probability of a yes.
        reference: The same of the distributions that count as right.
    """
    logits, reference = logits.float(), reference.float()
    wanted = reference.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(reference, wanted, reduction="none")
    each = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none") - entropy
    return Loss(each.mean(dim=-1).sum(), each.new_full((), float(len(each))))
