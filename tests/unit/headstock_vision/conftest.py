from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from headstock.interfaces import Backbone
from headstock_vision.backbones.smallcnn import SmallCNN


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def photo() -> Image.Image:
    """A coloured image of 24 by 16 pixels."""
    rows, columns = np.mgrid[:16, :24]
    return Image.fromarray(np.stack([columns * 10, rows * 15, 255 - columns * 5], axis=2).astype(np.uint8))


@pytest.fixture
def noise_batch() -> Callable[[Backbone, int], dict[str, Tensor]]:
    """Make a batch of random images for a backbone."""

    def make(backbone: Backbone, count: int = 3) -> dict[str, Tensor]:
        generator = np.random.Generator(np.random.PCG64(0))
        images = generator.integers(0, 256, (count, 20, 20, 3), dtype=np.uint8)
        return backbone.collate([backbone.preprocess({"image": image}) for image in images])

    return make


@pytest.fixture
def small() -> SmallCNN:
    return SmallCNN.create(SmallCNN.Config(width=8, image_size=16), [])
