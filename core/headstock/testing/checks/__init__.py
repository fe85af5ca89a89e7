"""All checks, group by group."""

from __future__ import annotations

from typing import Final

from headstock.testing.check import Check
from headstock.testing.checks import (
    adapter,
    backbone,
    data,
    entry,
    features,
    learning,
    method,
    numbers,
    prediction,
    shape,
    state,
)

CHECKS: Final[tuple[Check, ...]] = (
    *entry.CHECKS,
    *data.CHECKS,
    *shape.CHECKS,
    *numbers.CHECKS,
    *features.CHECKS,
    *backbone.CHECKS,
    *adapter.CHECKS,
    *method.CHECKS,
    *prediction.CHECKS,
    *state.CHECKS,
    *learning.CHECKS,
)
"""In the order in which they run: cheap ones first, those that train last."""
