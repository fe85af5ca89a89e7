"""Checks of the numbers: neighbours, padding, sums, repeatability."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from headstock.interfaces import Features
from headstock.interfaces.values.padding import round_lengths
from headstock.testing.check import CheckFailure, NotApplicable, check, expect
from headstock.testing.checks.compare import difference, gap, gradient_gap
from headstock.testing.subject import JITTER, Built, Subject

EXAMPLES = tuple(range(6))
"""The examples that are put together and looked at alone."""

FURTHER = 3
"""Places by which sequences are padded beyond the longest one."""


@check("numbers-neighbours", "task", "backbone")
def numbers_neighbours(subject: Subject) -> None:
    """What an example gives does not depend on the examples beside it, on padding, or on their order.

    Batches are cut by cost, so which examples meet is random. Mask padding in attention, recurrent layers,
    convolutions and normalisation; a mean over positions is one over real positions.
    """
    built = subject.build(jitter=JITTER)
    backbone = built.module.backbone
    with torch.no_grad():
        together = backbone(built.batch(EXAMPLES).inputs)
        turned = backbone(built.batch(EXAMPLES[::-1]).inputs)
        for index in EXAMPLES:
            single = backbone(built.batch([index]).inputs)
            for other, position, what in ((together, index, "in a batch"), (turned, -1 - index, "in another order")):
                _same_features(single, other, position, f"example {index} alone and {what}")
    predictions = subject.predict(built, EXAMPLES)
    backwards = subject.predict(built, EXAMPLES[::-1])[::-1]
    for index in EXAMPLES:
        (alone,) = subject.predict(built, [index])
        for other, what in ((predictions[index], "in a batch"), (backwards[index], "in another order")):
            found = difference(alone, other)
            expect(not found, f"the same prediction for example {index} alone and {what}", str(found))


def _same_features(single: Features, other: Features, position: int, what: str) -> None:
    pooled = gap(other.pooled[position], single.pooled[0])
    expect(not pooled, f"the same pooled features of {what}", str(pooled))
    mine, theirs = single.sequence[0][single.mask[0]], other.sequence[position][other.mask[position]]
    sequence = gap(theirs, mine)
    expect(not sequence, f"the same sequence of {what}", str(sequence))


@check("numbers-loss-is-a-sum", "task")
def numbers_loss_is_a_sum(subject: Subject) -> None:
    """The loss is a sum and a count that both add up, never a mean.

    The trainer divides the sum of ``total`` by the sum of ``count`` over all batches of a step, on all devices. Only
    then do accumulation, batch cuts and several GPUs give the gradient of one large batch.
    """
    built = subject.build(jitter=JITTER)
    with torch.no_grad():
        whole = _loss(built, EXAMPLES)
        parts = [_loss(built, [index]) for index in EXAMPLES]
        halves = [_loss(built, EXAMPLES[:2]), _loss(built, EXAMPLES[2:])]
    for cut, what in ((parts, "one by one"), (halves, "in two batches")):
        total, count = sum(loss[0] for loss in cut), sum(loss[1] for loss in cut)
        expect(_close(total, whole[0]), f"total {whole[0]:.6g} also {what}", f"{total:.6g}")
        expect(_close(count, whole[1]), f"count {whole[1]:.6g} also {what}", f"{count:.6g}")
    expect(whole[1] > 0, "a positive count", f"{whole[1]}")


@check("numbers-gradients-add", "task")
def numbers_gradients_add(subject: Subject) -> None:
    """The gradient of one batch is that of its parts together, whatever the cut.

    Losses that add up are not enough where the forward pass itself looks across the batch (batch normalisation in the
    head, a contrastive term), or detaches something.
    """
    whole, cut = subject.build(jitter=JITTER), subject.build(jitter=JITTER)
    one = _gradients(whole, [EXAMPLES])
    two = _gradients(cut, [EXAMPLES[:2], EXAMPLES[2:]])
    expect(bool(one), "a gradient on some parameter", "none")
    for name, gradient in one.items():
        found = gradient_gap(two.get(name), gradient)
        expect(not found, f"the same gradient of {name} from one batch and from two", str(found))


def _gradients(built: Built, batches: list[tuple[int, ...]]) -> dict[str, Tensor]:
    count = 0.0
    # In training mode batch normalisation looks across the batch; the rest stays as it is, so that nothing is random.
    for part in built.module.head.modules():
        if isinstance(part, _BatchNorm):
            part.train()
    for indices in batches:
        loss = built.module(built.batch(indices)).loss
        loss.total.backward()
        count += float(loss.count)
    parameters = built.module.named_parameters()
    return {name: each.grad / count for name, each in parameters if each.grad is not None}


@check("numbers-padding-is-not-read", "task")
def numbers_padding_is_not_read(subject: Subject) -> None:
    """The head reads ``features.sequence`` only where ``features.mask`` is true.

    What stands behind an example's end is whatever the backbone left there. The check writes noise to it: loss and
    predictions must stay.
    """
    built = subject.build(jitter=JITTER)
    module, batch = built.module, built.batch(_uneven(built))
    with torch.no_grad():
        features = module.backbone(batch.inputs)
        torch.manual_seed(0)
        noise = torch.where(features.mask.unsqueeze(-1), features.sequence, 50 * torch.randn_like(features.sequence))
        outputs = [
            module.task.forward(module.head, each, batch) for each in (features, features._replace(sequence=noise))
        ]
        losses = [float(module.task.loss(output, batch).total) for output in outputs]
    expect(_close(*losses), f"the loss {losses[0]:.6g} whatever stands in padding", f"{losses[1]:.6g}")
    first, second = (module.task.decode(output, batch) for output in outputs)
    found = difference(first, second)
    expect(not found, "the same predictions whatever stands in padding", str(found))


@check("numbers-padding-has-no-gradient", "backbone")
def numbers_padding_has_no_gradient(subject: Subject) -> None:
    """No gradient reaches the padding of the embedded inputs.

    A gradient there means that padding had a say. What an example embeds to alone counts as its own, at the start or
    at the end of its row in a batch; the rest of the row is padding.
    """
    built = subject.build(jitter=JITTER)
    module, indices = built.module, _uneven(built)
    batch = built.batch(indices)
    embedded = module.backbone.embed(batch.inputs).detach().requires_grad_()
    features = module.backbone.encode(embedded, batch.inputs)
    loss = module.task.loss(module.task.forward(module.head, features, batch), batch)
    (gradient,) = torch.autograd.grad(loss.total, embedded)
    padded = known = False
    for row, index in enumerate(indices):
        with torch.no_grad():
            own = module.backbone.embed(built.batch([index]).inputs)[0]
        position = next(
            (position for position in _positions(own, embedded[row]) if gap(embedded[row][position], own) is None), None
        )
        if position is None:
            continue
        known = True
        outside = torch.ones(gradient.shape[1:], dtype=torch.bool)
        outside[position] = False
        if outside.any():
            padded = True
            most = float(gradient[row][outside].abs().max())
            expect(most <= 1e-6, f"no gradient on the padding of example {index}", f"up to {most:.3g}")
    if not padded:
        raise NotApplicable(
            "this backbone pads nothing" if known else "what an example embeds to alone is not found in a batch"
        )


def _positions(own: Tensor, row: Tensor) -> list[tuple[slice, ...]]:
    """Return where an example may lie in its padded row: at the start, or at the end."""
    pairs = list(zip(own.shape, row.shape, strict=True))
    return [tuple(slice(0, size) for size, _ in pairs), tuple(slice(full - size, full) for size, full in pairs)]


@check("numbers-padded-further", "task", "backbone")
def numbers_padded_further(subject: Subject) -> None:
    """Sequences that are padded to more than the longest of a batch give the same loss and predictions.

    On a GPU ``pad_stack(…, sequence=True)`` does so, in order that shapes of batches recur and training steps can be
    replayed. Everything that has to be as long as a padded tensor takes its length from it, or is padded likewise.
    """
    built = subject.build(jitter=JITTER)
    plain = built.batch(EXAMPLES)
    with round_lengths(lambda length: length + FURTHER):
        further = built.batch(EXAMPLES)
    sizes = [[value.shape for value in (*each.inputs.values(), *each.targets.values())] for each in (plain, further)]
    if sizes[0] == sizes[1]:
        raise NotApplicable("nothing is marked as a sequence")
    with torch.no_grad():
        first, second = built.module(plain), built.module(further)
    losses = float(first.loss.total), float(second.loss.total)
    expect(_close(*losses), f"the loss {losses[0]:.6g} however far sequences are padded", f"{losses[1]:.6g}")
    decode = built.module.task.decode
    found = difference(decode(first.outputs, plain), decode(second.outputs, further))
    expect(not found, "the same predictions however far sequences are padded", str(found))


@check("numbers-evaluation-repeats", "task", "backbone")
def numbers_evaluation_repeats(subject: Subject) -> None:
    """In evaluation mode the same batch gives the same numbers, and leaves the model as it was.

    No dropout, no augmentation, no statistics that move. Use ``nn.Dropout`` modules or ``self.training``, not
    ``F.dropout`` with its default.
    """
    built = subject.build(jitter=JITTER)
    module, batch = built.module, built.batch(EXAMPLES)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with torch.no_grad():
        torch.manual_seed(1)
        first = module(batch)
        torch.manual_seed(2)
        second = module(batch)
    for name, value in first.outputs.items():
        found = gap(second.outputs[name], value)
        expect(not found, f"the same '{name}' twice in evaluation mode", str(found))
    moved = [name for name, value in module.state_dict().items() if not value.equal(before[name])]
    expect(not moved, "a model that evaluation leaves as it was", f"other values of {', '.join(moved[:3])}")


@check("numbers-seed-decides", "task", "backbone")
def numbers_seed_decides(subject: Subject) -> None:
    """The same seed gives the same run, bit for bit; another seed another one.

    Draw from torch's global generator, which the trainer seeds for every step. Python's ``random``,
    ``numpy.random`` and the clock are not seeded.
    """
    first, again, other = subject.finished, subject.new_folder() / "run", subject.new_folder() / "run"
    subject.run(again)
    subject.run(other, "seed=1")
    for name in ("metrics.jsonl", "predictions.jsonl"):
        same = (first / name).read_bytes() == (again / name).read_bytes()
        expect(same, f"the same {name} from the same seed", "another one")
    changed = (first / "metrics.jsonl").read_bytes() != (other / "metrics.jsonl").read_bytes()
    expect(changed, "other losses from another seed", "the same")


def _uneven(built: Built) -> list[int]:
    """Return a few examples of which not all have one length.

    Raises:
        NotApplicable: all have.
    """
    with torch.no_grad():
        features = built.module.backbone(built.batch(range(len(built.splits["train"]))).inputs)
    lengths = features.mask.sum(dim=1)
    if bool((lengths == lengths[0]).all()):
        raise NotApplicable("all examples of the sample have the same length")
    order = lengths.argsort()
    return [int(order[0]), int(order[len(order) // 2]), int(order[-1])]


def _loss(built: Built, indices: object) -> tuple[float, float]:
    loss = built.module(built.batch(indices)).loss  # type: ignore[arg-type]
    if loss is None or loss.total.ndim or loss.count.ndim:
        raise CheckFailure("a loss of two scalar tensors", repr(loss))
    return float(loss.total), float(loss.count)


def _close(first: float, second: float) -> bool:
    return abs(first - second) <= 1e-3 * max(abs(first), abs(second)) + 1e-4


CHECKS = (
    numbers_neighbours,
    numbers_loss_is_a_sum,
    numbers_gradients_add,
    numbers_padding_is_not_read,
    numbers_padding_has_no_gradient,
    numbers_padded_further,
    numbers_evaluation_repeats,
    numbers_seed_decides,
)
