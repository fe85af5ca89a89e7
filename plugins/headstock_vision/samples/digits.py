"""The sample of ``image-classification``: scikit-learn's handwritten digits, 1,797 grey images of 8x8 pixels.

They come with scikit-learn and are the test set of https://doi.org/10.24432/C50P49 (CC BY 4.0).
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from headstock import Splits

TRAIN, VALIDATION = 1100, 300
"""Images of the first two splits; the other 397 are for testing."""


def load_sample() -> Splits:
    """Return the digits as PNG files in memory, always split in the same way."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    # RandomState promises the same order in every version of numpy
    order = np.random.RandomState(0).permutation(len(digits.target))
    # values are counts of 0 to 16 dark pixels in a block of 4x4
    grey = (digits.images * (255 / 16)).round().astype(np.uint8)
    rows = [{"image": _png(grey[number]), "label": str(digits.target[number])} for number in order]
    return {
        "train": rows[:TRAIN],
        "validation": rows[TRAIN : TRAIN + VALIDATION],
        "test": rows[TRAIN + VALIDATION :],
    }


def _png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()
