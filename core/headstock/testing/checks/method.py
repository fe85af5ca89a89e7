"""Checks of a training method."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from headstock.testing.check import NotApplicable, check, expect
from headstock.testing.subject import JITTER, Built, Subject
from headstock.trainer.step.gradient import seed_everything

EXAMPLES = (0, 1, 2, 3)
CLOSE = 1e-4
"""Relative difference of two gradients that sum in another order."""


@check("method-takes-gradients-apart", "method")
def method_takes_gradients_apart(subject: Subject) -> None:
    """Taking the loss changes neither weights nor their ``grad``; the trainer's backward pass then gives a gradient.

    Gradients within a method are taken with ``torch.autograd.grad``, and weights are moved with
    ``model.loss(batch, parameters=…)``. What is added to ``grad`` would be counted twice, and weights that are moved in
    place are other ones when the gradient is taken.
    """
    built = _built(subject)
    before = _weights(built.module)
    loss = _loss(built, EXAMPLES)
    touched = [name for name, value in built.module.named_parameters() if value.grad is not None]
    expect(not touched, "no gradient before the backward pass", f"{', '.join(touched[:3])} have one")
    loss.backward()  # type: ignore[no-untyped-call]
    moved = [name for name, value in _weights(built.module).items() if not value.equal(before[name])]
    expect(not moved, "weights as they were", f"{', '.join(moved[:3])} changed")
    gradients = _gradients(built.module)
    expect(any(bool(value.any()) for value in gradients.values()), "a gradient", "zeros")
    wrong = [name for name, value in gradients.items() if not bool(torch.isfinite(value).all())]
    expect(not wrong, "finite gradients", f"{', '.join(wrong[:3])} are not")


@check("method-holds-in-pieces", "method")
def method_holds_in_pieces(subject: Subject) -> None:
    """The gradient of a batch is the sum of those of its pieces, unless ``across_batch`` says that it is not.

    The trainer cuts a batch where memory runs out, and over ranks. Normalise by example, and sum the loss. Dropout is
    off for this; a method that draws random numbers is not compared.
    """
    if subject.cls.across_batch:
        raise NotApplicable("the method looks across the batch, and says so")
    built = _built(subject)
    for part in built.module.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    whole = _gradient_of(built, [EXAMPLES], seed=0)
    if _apart(whole, _gradient_of(built, [EXAMPLES], seed=1)) > CLOSE:
        raise NotApplicable("the loss is random")
    gap = _apart(whole, _gradient_of(built, [EXAMPLES[:1], EXAMPLES[1:]], seed=0))
    expect(gap <= CLOSE, f"gradients that differ by at most {CLOSE:g}, relative to the largest", f"{gap:.2g}")


@check("method-exchanges-weights", "method")
def method_exchanges_weights(subject: Subject) -> None:
    """``exchange`` done twice leaves all as it was, bit for bit: it is asked before each validation and after it."""
    built = _built(subject)
    module = built.module
    optimizer = torch.optim.SGD([each for each in module.parameters() if each.requires_grad], lr=0.1)
    for step in (1, 2):
        seed_everything(0, step, 0)
        _loss(built, EXAMPLES).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        module.after_step(step, 2)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    module.exchange_weights()
    module.exchange_weights()
    lost = [name for name, value in module.state_dict().items() if not value.equal(before[name])]
    expect(not lost, "weights and memory as they were", f"{', '.join(lost[:3])} changed")


def _built(subject: Subject) -> Built:
    """Return a model in training mode whose backbone is trained and whose methods have begun."""
    built = subject.build(jitter=JITTER)
    built.module.begin_methods(built.splits["train"].split.inputs(built.module.task))
    built.module.train()
    return built


def _loss(built: Built, indices: Sequence[int]) -> Tensor:
    loss = built.module(built.batch(indices)).loss
    expect(loss is not None, "a loss for a training batch", "none")
    total: Tensor = loss.total
    expect(bool(torch.isfinite(total)), "a finite loss", str(float(total)))
    return total


def _gradient_of(built: Built, pieces: Sequence[Sequence[int]], seed: int) -> dict[str, Tensor]:
    built.module.zero_grad(set_to_none=True)
    for piece in pieces:
        seed_everything(seed, 0, 0)
        _loss(built, piece).backward()  # type: ignore[no-untyped-call]
    return _gradients(built.module)


def _gradients(module: nn.Module) -> dict[str, Tensor]:
    return {
        name: (value.grad.to_dense() if value.grad.is_sparse else value.grad).clone()
        for name, value in module.named_parameters()
        if value.grad is not None
    }


def _apart(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    """Return the largest difference of two gradients, relative to the largest number of the first."""
    largest = max(float(value.abs().max()) for value in first.values())
    none = torch.zeros(())
    return max(float((value - second.get(name, none)).abs().max()) for name, value in first.items()) / largest


def _weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.named_parameters()}


CHECKS = (
    method_takes_gradients_apart,
    method_holds_in_pieces,
    method_exchanges_weights,
)
