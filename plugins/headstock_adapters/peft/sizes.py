"""Sizes that must fit the layers: peft's defaults are made for large models, and some of them divide nothing here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

Shape = tuple[int, int]
"""Numbers that a layer takes and gives for one output: all of a filter's for a convolution."""


def shapes_of(layers: Sequence[nn.Module]) -> list[Shape]:
    """Return the shapes of layers that have a weight matrix or filters."""
    weights = [layer.weight for layer in layers if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d)]
    return [(weight[0].numel(), weight.shape[0]) for weight in weights]


def divides(method: str, layer: nn.Module) -> bool:
    """Return whether a method can cut a layer's inputs or outputs into blocks of more than one."""
    cuts_in, cuts_out = _CUTS.get(method, (False, False))
    return all(not (cuts_in and taken % 2) and not (cuts_out and given % 2) for taken, given in shapes_of([layer]))


def fitted(method: str, layers: Sequence[nn.Module]) -> dict[str, Any]:
    """Return the settings of a method that suit layers, where peft's default may not: at most that default."""
    shapes = shapes_of(layers)
    if not shapes:
        return {}
    return {name: choose(shapes) for name, choose in _CHOICES.get(method, {}).items()}


def _divisor(most: int, *, of_in: bool = True, of_out: bool = True) -> Callable[[Sequence[Shape]], int]:
    """Return what chooses the largest number that divides ``most`` and the sizes."""

    def choose(shapes: Sequence[Shape]) -> int:
        ins = [taken for taken, _ in shapes] if of_in else []
        outs = [given for _, given in shapes] if of_out else []
        return math.gcd(most, *ins, *outs)

    return choose


def _at_most(most: int, bound: Callable[[Shape], int]) -> Callable[[Sequence[Shape]], int]:
    """Return what chooses ``most``, or less where the smallest layer has room for less."""
    return lambda shapes: max(1, min(most, *map(bound, shapes)))


_CUTS: Mapping[str, tuple[bool, bool]] = {
    "boft": (True, False),
    "gralora": (True, True),
    "oft": (True, False),
    "road": (False, True),
}
"""Methods that cut a layer's inputs, or outputs, into blocks."""

_CHOICES: Mapping[str, Mapping[str, Callable[[Sequence[Shape]], float]]] = {
    "adamss": {"r": _at_most(100, min)},
    "boft": {"boft_block_size": _divisor(4, of_out=False)},
    "c3a": {"block_size": _divisor(256)},
    "fourierft": {"n_frequency": _at_most(1000, math.prod)},
    "gralora": {"gralora_k": _divisor(2)},
    "miss": {"r": _at_most(64, min)},
    "oft": {"oft_block_size": _divisor(32, of_out=False)},
    "psoft": {"r": _at_most(32, min)},
    "road": {"group_size": _divisor(64, of_in=False)},
    "shira": {"r": _at_most(32, lambda shape: math.prod(shape) // (2 * sum(shape)))},
    "supertuning": {"sparsity": lambda shapes: min(0.99, 1 - 2 / min(map(math.prod, shapes)))},
    "vblora": {"vector_length": _divisor(256)},
    "waveft": {"n_frequency": _at_most(2592, math.prod)},
}
