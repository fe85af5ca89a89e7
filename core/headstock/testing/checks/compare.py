"""Whether two predictions, or two sets of tensors, are the same but for rounding."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from headstock.error_text import shown
from headstock.interfaces import Features

RELATIVE = 1e-3
ABSOLUTE = 3e-4
"""What the order of sums may change in float32, some layers deep."""


def difference(first: Any, second: Any, where: str = "") -> str | None:
    """Return where two JSON values differ by more than rounding and how, or ``None``."""
    place = where or "the value"
    if isinstance(first, bool | str) or first is None or type(first) is not type(second):
        same_number = isinstance(first, int | float) and isinstance(second, int | float)
        if not same_number or isinstance(first, bool) or isinstance(second, bool):
            return None if first == second else f"{place} is {shown(first)} and {shown(second)}"
    if isinstance(first, int | float):
        same = math.isclose(first, second, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
        return None if same else f"{place} is {first} and {second}"
    if isinstance(first, Mapping):
        if first.keys() != second.keys():
            return f"{place} has the keys {sorted(first)} and {sorted(second)}"
        pairs = [(first[key], second[key], f"{where}.{key}".lstrip(".")) for key in first]
    else:
        if len(first) != len(second):
            return f"{place} has {len(first)} and {len(second)} items"
        pairs = [(one, other, f"{where}[{number}]") for number, (one, other) in enumerate(zip(first, second))]  # noqa: B905
    found = next((found for found in (difference(*pair) for pair in pairs) if found), None)
    return None if found and _same_but_for_ties(first, second) else found


def _same_but_for_ties(first: Any, second: Any) -> bool:
    """Tell whether two lists of scored answers, best first, differ only in the order of those with the same score."""
    for answers in (first, second):
        if not isinstance(answers, list) or not all(isinstance(each, Mapping) and "score" in each for each in answers):
            return False
        scores = [each["score"] for each in answers]
        if scores != sorted(scores, reverse=True):
            return False
    left = list(second)
    for each in first:
        place = next((place for place, other in enumerate(left) if difference(each, other) is None), None)
        if place is None:
            return False
        del left[place]
    return True


def gap(first: Tensor, second: Tensor) -> str | None:
    """Return in words how two tensors differ by more than rounding, or ``None``."""
    if first.shape != second.shape:
        return f"shapes {list(first.shape)} and {list(second.shape)}"
    if not first.is_floating_point():
        return None if first.equal(second) else "other values"
    if torch.allclose(first, second, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True):
        return None
    return f"values that differ by up to {float((first - second).abs().max()):.3g}"


def features_gap(first: Features, second: Features) -> str | None:
    """Return in words how two features differ in what is real of them, or ``None``."""
    if not first.mask.equal(second.mask):
        return "other masks"
    return gap(first.pooled, second.pooled) or gap(first.sequence[first.mask], second.sequence[second.mask])


def gradient_gap(first: Tensor | None, second: Tensor) -> str | None:
    """Return in words how a gradient differs from another by more than rounding, measured by its own size."""
    if first is None:
        return "none at all"
    off, size = float((first - second).norm()), float(second.norm())
    return None if off <= RELATIVE * size + 1e-6 else f"one that is {100 * off / max(size, 1e-12):.2g} % off"
