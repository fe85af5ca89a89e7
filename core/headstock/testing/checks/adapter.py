"""Checks of an adapter."""

from __future__ import annotations

import torch
from torch import Tensor

from headstock.testing.check import NotApplicable, check, expect
from headstock.testing.checks.compare import features_gap
from headstock.testing.subject import JITTER, Built, Subject

EXAMPLES = (0, 1, 2, 3)


@check("adapter-trains-what-it-says", "adapter")
def adapter_trains_what_it_says(subject: Subject) -> None:
    """What is marked trainable changes in training, and nothing else does, bit for bit.

    With ``keeps_base`` that goes for buffers too: running statistics stay, which is what ``set_mode`` is for.
    """
    built = subject.build(jitter=JITTER)
    before = _state(built)
    _train(built)
    module = built.module
    # with all the names of weights that are tied
    parameters = module.named_parameters(remove_duplicate=False)
    trainable = {name for name, parameter in parameters if parameter.requires_grad}
    buffers = {name for name, _ in module.named_buffers()}
    changed = {name for name, value in module.state_dict().items() if not value.equal(before[name])}
    wrong = sorted(changed - trainable - buffers)
    expect(not wrong, "no change of what is not marked trainable", f"{', '.join(wrong[:3])} changed")
    still = sorted(trainable - changed)
    expect(not still, "a change of all that is marked trainable", f"{', '.join(still[:3])} stayed as it was")
    if module.adapter.keeps_base:
        moved = sorted(name for name in changed & buffers if name.startswith("backbone."))
        expect(
            not moved,
            "buffers of the backbone as they were, since keeps_base says so",
            f"{', '.join(moved[:3])} changed",
        )


@check("adapter-keeps-base", "adapter")
def adapter_keeps_base(subject: Subject) -> None:
    """Where ``keeps_base`` says so, the backbone's own weights are those from before attaching, also after training."""
    if not subject.cls.keeps_base:
        raise NotApplicable("the adapter changes the base weights, and says so")
    before = {name: value.clone() for name, value in subject.prepared(jitter=JITTER).backbone.body.state_dict().items()}
    built = subject.build(jitter=JITTER)
    _train(built)
    after = built.module.backbone.body.state_dict()
    lost = [name for name, value in before.items() if not _found(value, name, after)]
    expect(not lost, "all base weights as they were", f"{', '.join(lost[:3])} changed or gone")


def _found(value: Tensor, name: str, state: dict[str, Tensor]) -> bool:
    """Return whether a weight is still there, under its name or within wrappers."""
    return any(
        other.shape == value.shape and _within(name.split("."), key.split(".")) and other.equal(value)
        for key, other in state.items()
    )


def _within(parts: list[str], longer: list[str]) -> bool:
    """Return whether parts stand in this order, with others between them."""
    rest = iter(longer)
    return all(part in rest for part in parts)


@check("adapter-starts-where-the-backbone-is", "adapter")
def adapter_starts_where_the_backbone_is(subject: Subject) -> None:
    """Right after attaching, the features are those of the backbone alone.

    Training starts from the pretrained model, and the figure before tuning is that model's. An adapter that changes
    features by its nature (prompts, new last layers) says ``starts_at_base = False``.
    """
    if not subject.cls.starts_at_base:
        raise NotApplicable("the adapter changes features from the start, and says so")
    data = subject.prepared(jitter=JITTER)
    split = data.splits["train"]
    inputs = data.backbone.collate([split.store[split.indices[index]] for index in EXAMPLES])
    with torch.no_grad():
        alone = data.backbone.eval()(inputs)
        attached = subject.build(jitter=JITTER).module.backbone(inputs)
    found = features_gap(attached, alone)
    expect(not found, "the features of the backbone alone", str(found))


@check("adapter-saves-all-it-added", "adapter")
def adapter_saves_all_it_added(subject: Subject) -> None:
    """What ``save`` wrote, loaded onto the backbone, gives the tuned features.

    With ``keeps_base`` onto the untuned backbone, otherwise onto the one whose own weights were saved.
    """
    built = subject.build(jitter=JITTER)
    _train(built)
    built.module.eval()
    adapter, backbone = built.module.adapter, built.module.backbone
    folder = subject.new_folder()
    if adapter.keeps_base:
        fresh = subject.prepared(jitter=JITTER).backbone
    else:
        backbone.save(folder)
        fresh = type(backbone).load(backbone.config, folder)
    adapter.save(backbone, folder)
    other = type(adapter)(adapter.config)
    other.load(fresh, folder)
    other.set_mode(fresh, training=False)
    inputs = built.batch(EXAMPLES).inputs
    with torch.no_grad():
        found = features_gap(fresh(inputs), backbone(inputs))
    expect(not found, "the tuned features after saving and loading", str(found))


@check("adapter-merges", "adapter")
def adapter_merges(subject: Subject) -> None:
    """``merge`` folds what was inserted into the backbone's own layers, and the features stay the same.

    Where the layers cannot take it in, it raises ``NotImplementedError``.
    """
    built = subject.build(jitter=JITTER)
    fresh = {name for name, _ in subject.prepared().backbone.body.named_parameters()}
    _train(built)
    built.module.eval()
    adapter, backbone = built.module.adapter, built.module.backbone
    inputs = built.batch(EXAMPLES).inputs
    with torch.no_grad():
        apart = backbone(inputs)
        try:
            adapter.merge(backbone)
        except NotImplementedError as error:
            raise NotApplicable(str(error)) from None
        merged = backbone.eval()(inputs)
    found = features_gap(merged, apart)
    expect(not found, "the same features once merged", str(found))
    left = sorted({name for name, _ in backbone.body.named_parameters()} ^ fresh)
    expect(not left, "the parameters of the plain backbone once merged", f"others: {', '.join(left[:3])}")


def _state(built: Built) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in built.module.state_dict().items()}


def _train(built: Built) -> None:
    """Take three steps, long enough for matrices that start at zero to let gradients through."""
    torch.manual_seed(0)
    parameters = [parameter for parameter in built.module.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.01)
    for _ in range(3):
        built.module.train()
        optimizer.zero_grad()
        loss = built.module(built.batch(range(8))).loss
        (loss.total / loss.count).backward()
        optimizer.step()


CHECKS = (
    adapter_trains_what_it_says,
    adapter_keeps_base,
    adapter_starts_where_the_backbone_is,
    adapter_saves_all_it_added,
    adapter_merges,
)
