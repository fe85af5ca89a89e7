"""Perturbations of a continuous input, each example on its own: what stands beside it in the batch changes nothing."""

from __future__ import annotations

import torch
from torch import Tensor

TINY = 1e-12


def norms(values: Tensor) -> Tensor:
    """Return the Euclidean norm of each example, in a shape that broadcasts over (B, …)."""
    flat: Tensor = values.flatten(1).float().norm(dim=1).clamp(min=TINY).to(values.dtype)
    return flat.view(-1, *(1 for _ in values.shape[1:]))


def scaled(direction: Tensor, length: Tensor) -> Tensor:
    """Return the direction of each example with a given length."""
    return direction / norms(direction) * length


def projected(perturbation: Tensor, radius: Tensor) -> Tensor:
    """Return the perturbation of each example, shortened to the radius where it is longer."""
    return perturbation * (radius / norms(perturbation)).clamp(max=1.0)


def sizes(embedded: Tensor, gradient: Tensor) -> Tensor:
    """Return the norm of each example's input where it has a gradient, which padding has not.

    So a radius can be given as a share of the input, and means the same for tokens, pixels and spectrograms.
    """
    real = (gradient != 0).flatten(2).any(dim=2) if gradient.ndim > 2 else gradient != 0
    kept = embedded * real.view(*real.shape, *(1 for _ in embedded.shape[2:]))
    return norms(kept.detach())


def leaf(embedded: Tensor) -> Tensor:
    """Return the input so that gradients can be taken at it; that of a frozen embedding is cut off from nothing."""
    return embedded if embedded.requires_grad else embedded.detach().requires_grad_()


def gradient_at(total: Tensor, embedded: Tensor, keep: bool) -> Tensor:
    """Return the gradient of a summed loss at the input; zeros where it does not depend on it."""
    (found,) = torch.autograd.grad(total, embedded, retain_graph=keep, allow_unused=True)
    return torch.zeros_like(embedded) if found is None else found.detach()
