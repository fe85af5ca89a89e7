"""Checks of a backbone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from headstock.interfaces import Backbone, BadExampleError, Config, Example
from headstock.interfaces.notes import noting, noting_examples
from headstock.testing.check import CheckFailure, NotApplicable, check, expect
from headstock.testing.checks.compare import features_gap, gap, gradient_gap
from headstock.testing.subject import Subject

EXAMPLES = (0, 1, 2, 3)


@check("backbone-features", "backbone")
def backbone_features(subject: Subject) -> None:
    """``Features`` have the declared shapes: sequence (B, T, D), a bool mask (B, T), pooled (B, D)."""
    built = subject.build()
    backbone = built.module.backbone
    with torch.no_grad():
        features = backbone(built.batch(EXAMPLES).inputs)
    size, width = len(EXAMPLES), backbone.feature_dim
    expect(features.sequence.ndim == 3, "a sequence of three dimensions", str(list(features.sequence.shape)))
    length = features.sequence.shape[1]
    for name, value, shape in (
        ("sequence", features.sequence, (size, length, width)),
        ("mask", features.mask, (size, length)),
        ("pooled", features.pooled, (size, width)),
    ):
        expect(tuple(value.shape) == shape, f"{name} of shape {shape}", str(tuple(value.shape)))
    expect(features.mask.dtype == torch.bool, "a bool mask", str(features.mask.dtype))
    expect(bool(features.mask.any(dim=1).all()), "something real in every example", "a mask that is all false")
    finite = bool(features.sequence[features.mask].isfinite().all() and features.pooled.isfinite().all())
    expect(finite, "finite features", "NaN or infinity")


@check("backbone-cost", "backbone")
def backbone_cost(subject: Subject) -> None:
    """``cost`` is a whole number from 1 that grows with the input.

    Batches are cut to a budget of it. An example whose tensors are all at least as large as another's, and one larger,
    costs at least as much; and where sizes differ much, so do costs.
    """
    built = subject.build()
    store, backbone = built.splits["train"].store, built.module.backbone
    examples = [store[index] for index in built.splits["train"].indices]
    costs = [backbone.cost(example) for example in examples]
    whole = all(isinstance(cost, int) and not isinstance(cost, bool) and cost >= 1 for cost in costs)
    expect(whole, "whole numbers from 1", str(sorted(set(map(repr, costs)))[:5]))
    sizes = [sum(tensor.numel() for tensor in example.values()) for example in examples]
    order = np.argsort(sizes, kind="stable")
    for small, large in pairwise(order):
        if sizes[large] > sizes[small] and _covers(examples[large], examples[small]):
            expect(
                costs[large] >= costs[small],
                f"an example of {sizes[large]} numbers to cost no less than one of {sizes[small]}",
                f"{costs[large]} and {costs[small]}",
            )
    if sizes[order[-1]] > 1.5 * sizes[order[0]]:
        expect(len(set(costs)) > 1, "costs that tell long examples from short ones", f"{costs[0]} for all")


def _covers(large: Example, small: Example) -> bool:
    return all(
        len(small[name].shape) == len(value.shape)
        and all(mine >= theirs for mine, theirs in zip(value.shape, small[name].shape, strict=True))
        for name, value in large.items()
    )


@check("backbone-preprocessing", "backbone")
def backbone_preprocessing(subject: Subject) -> None:
    """``preprocess`` gives the same compact tensors every time, also in threads, and so does ``preprocess_many``.

    Its result is cached on disk: randomness belongs to the task's ``augment``, floats to ``embed`` where uint8, int16
    or ids say the same. What is noted of an example is the same, too.
    """
    task, backbone = subject.task(), subject.prepared_backbone
    for row in subject.sample["train"][:3]:
        first, second = (backbone.preprocess(task.inputs(row)) for _ in range(2))
        expect(first.keys() == second.keys(), "the same tensors twice", f"{sorted(first)} and {sorted(second)}")
        for name, value in first.items():
            expect(isinstance(value, Tensor), f"a tensor '{name}'", type(value).__name__)
            found = None if value.equal(second[name]) else gap(value, second[name]) or "other values"
            expect(not found, f"the same '{name}' twice", str(found))
    several = [task.inputs(row) for row in subject.sample["train"][:8]]
    with noting_examples() as together:
        many = backbone.preprocess_many(several)
    expect(len(many) == len(several), f"{len(several)} examples of preprocess_many", str(len(many)))
    for index, (inputs, example) in enumerate(zip(several, many, strict=True)):
        with noting() as alone:
            expected = backbone.preprocess(inputs)
        same = expected.keys() == example.keys() and all(
            value.dtype == example[name].dtype and value.equal(example[name]) for name, value in expected.items()
        )
        expect(same, "the same tensors of preprocess_many as of preprocess", "others")
        notes = dict(together.get(index, {}))
        expect(alone == notes, f"the same notes of preprocess_many, {dict(alone)}", str(notes))
    if backbone.thread_safe:
        with ThreadPoolExecutor(4) as executor:
            threaded = list(executor.map(backbone.preprocess, several * 2))
        expect(_same(threaded, many * 2), "the same tensors from several threads (thread_safe)", "others")


@check("backbone-fingerprint", "backbone")
def backbone_fingerprint(subject: Subject) -> None:
    """``fingerprint`` tells apart whatever ``preprocess`` does differently.

    It is the key of the cache: an option that changes the tensors but not the fingerprint would train on stale ones.
    The check changes one option after the other, as far as it can: switches, numbers, choices.
    """
    task, rows = subject.task(), subject.sample["train"][:16]
    inputs = [task.inputs(row) for row in rows]
    base = subject.prepared_backbone
    key, tensors = _key(base), _preprocessed(base, inputs)
    training = subject.inputs("train")
    tried = 0
    for name, config in _variations(base.config):
        try:
            other = type(base).create(config, iter(training))
        except Exception:  # options that do not go together, as whatever library says it
            continue
        tried += 1
        same = _same(tensors, _preprocessed(other, inputs))
        expect(
            same or _key(other) != key,
            f"another fingerprint where {name}={getattr(config, name)!r} changes what preprocess gives",
            "the same fingerprint",
        )
    if not tried:
        raise NotApplicable("there is no option that could be changed")


def _key(backbone: Backbone) -> str:
    try:
        return json.dumps(backbone.fingerprint(), sort_keys=True)
    except TypeError as error:
        raise CheckFailure("a fingerprint of JSON values", str(error)) from error


def _preprocessed(backbone: Backbone, inputs: list[Mapping[str, Any]]) -> list[Example | None]:
    found: list[Example | None] = []
    for each in inputs:
        try:
            found.append(backbone.preprocess(each))
        except BadExampleError:
            found.append(None)
    return found


def _same(first: Sequence[Example | None], second: Sequence[Example | None]) -> bool:
    for one, other in zip(first, second, strict=True):
        if one is None or other is None:
            if one is not other:
                return False
        elif one.keys() != other.keys() or not all(value.equal(other[name]) for name, value in one.items()):
            return False
    return True


def _variations(config: Config) -> Iterator[tuple[str, Any]]:
    """Yield the options with one of them changed, as far as they are valid: switches, numbers, choices."""
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        choices = getattr(field.annotation, "__args__", ())
        others: tuple[Any, ...] = tuple(choice for choice in choices if isinstance(choice, str) and choice != value)
        if isinstance(value, bool):
            others = (not value,)
        elif isinstance(value, int):
            others = (value * 2, value + 1, value // 2, value // 4, value // 8)
        elif isinstance(value, float):
            others = (value * 2, value + 0.1, value / 2)
        for other in dict.fromkeys(others):
            if other == value:
                continue
            try:
                yield name, type(config).model_validate({**config.model_dump(), name: other})
            except ValueError:
                continue


@check("backbone-bf16", "backbone")
def backbone_bf16(subject: Subject) -> None:
    """It trains under bf16 autocast: finite loss and gradients, features near those of float32."""
    built = subject.build()
    batch = built.batch(EXAMPLES)
    with torch.no_grad():
        exact = built.module.backbone(batch.inputs).pooled
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = built.module.backbone(batch.inputs).pooled.float()
    off = float((rough - exact).norm() / exact.norm().clamp(min=1e-6))
    expect(off < 0.1, "pooled features within 10 % of those in float32", f"{100 * off:.0f} %")
    built.module.train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = built.module(batch).loss
    loss.total.backward()
    gradients = [each.grad for each in built.module.parameters() if each.grad is not None]
    expect(bool(gradients) and bool(loss.total.isfinite()), "a finite loss and gradients", f"loss {float(loss.total)}")
    broken = [gradient for gradient in gradients if not bool(gradient.isfinite().all())]
    expect(not broken, "finite gradients", f"NaN or infinity in {len(broken)} of {len(gradients)}")


@check("backbone-gradient-checkpointing", "backbone")
def backbone_gradient_checkpointing(subject: Subject) -> None:
    """With gradient checkpointing the gradients are the same; a backbone without it raises ``NotImplementedError``."""
    plain, saving = subject.build(), subject.build()
    try:
        saving.module.backbone.enable_gradient_checkpointing()
    except NotImplementedError:
        raise NotApplicable("this backbone has no gradient checkpointing") from None
    gradients = []
    for built in (plain, saving):
        built.module.train()
        torch.manual_seed(0)
        built.module(built.batch(EXAMPLES)).loss.total.backward()
        gradients.append({name: each.grad for name, each in built.module.named_parameters() if each.grad is not None})
    for name, gradient in gradients[0].items():
        found = gradient_gap(gradients[1].get(name), gradient)
        expect(not found, f"the same gradient of {name} with checkpointing", str(found))


@check("backbone-compile", "backbone")
def backbone_compile(subject: Subject) -> None:
    """Under ``torch.compile`` the features are the same, for batches of several lengths.

    Compiled without code generation (backend ``aot_eager``), which needs no compiler on this machine and finds what
    cannot be captured.
    """
    built = subject.build()
    compiled = torch.compile(built.module.backbone, dynamic=True, backend="aot_eager")
    try:
        with torch.no_grad():
            for indices in (EXAMPLES, EXAMPLES[:2]):
                inputs = built.batch(indices).inputs
                found = features_gap(compiled(inputs), built.module.backbone(inputs))
                expect(not found, "the same features when compiled", str(found))
    finally:
        torch.compiler.reset()


@check("backbone-loads-what-it-saved", "backbone")
def backbone_loads_what_it_saved(subject: Subject) -> None:
    """``load`` makes from the files of ``save`` alone a backbone with the same features and preprocessing."""
    built = subject.build()
    backbone, folder = built.module.backbone, subject.new_folder()
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
        backbone.save(folder)
        loaded = type(backbone).load(backbone.config, folder).eval()
        inputs = built.batch(EXAMPLES).inputs
        found = features_gap(loaded(inputs), backbone(inputs))
    expect(not found, "the same features after saving and loading", str(found))
    expect(loaded.feature_dim == backbone.feature_dim, f"feature_dim {backbone.feature_dim}", str(loaded.feature_dim))
    task = subject.task()
    raw = [task.inputs(row) for row in subject.sample["test"][:3]]
    expect(_same(_preprocessed(backbone, raw), _preprocessed(loaded, raw)), "the same preprocessing", "another one")
    expect(_key(loaded) == _key(backbone), "the same fingerprint", "another one")


CHECKS = (
    backbone_features,
    backbone_cost,
    backbone_preprocessing,
    backbone_fingerprint,
    backbone_bf16,
    backbone_gradient_checkpointing,
    backbone_compile,
    backbone_loads_what_it_saved,
)
