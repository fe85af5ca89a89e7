"""How long image backbones are trained by default."""

from __future__ import annotations

from typing import Any

from headstock import TrainingFacts
from headstock.kits import passes

DETECTION = "object-detection"


def image_passes(facts: TrainingFacts, *, steps: int, least: int, most: int) -> dict[str, Any]:
    """Return batch size, epochs and patience for one label an image; detection says by itself how long it trains.

    Batches are of 16 images at least, for batch normalisation. See :func:`headstock.kits.passes`.
    """
    return {} if facts.task == DETECTION else passes(facts, steps=steps, smallest=16, least=least, most=most)
