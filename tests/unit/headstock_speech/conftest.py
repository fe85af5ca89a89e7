"""Sounds for the speech tests."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstock.interfaces import Backbone, Features


def tone(seconds: float, rate: int = 16000, pitch: float = 440.0, seed: int = 0) -> NDArray[np.float32]:
    """A tone that swells and fades, with some noise."""
    generator = np.random.Generator(np.random.PCG64(seed))
    time = np.arange(round(seconds * rate)) / rate
    sound = 0.4 * np.sin(2 * np.pi * pitch * time) * np.sin(7 * time) + generator.normal(0, 0.02, len(time))
    return sound.astype(np.float32)


def clip(seconds: float, rate: int = 16000, **options: Any) -> dict[str, Any]:
    return {"audio": {"array": tone(seconds, rate, **options), "sampling_rate": rate}}


def encoded(samples: NDArray[np.float32], rate: int = 16000, kind: str = "WAV", subtype: str | None = None) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format=kind, subtype=subtype)
    return stream.getvalue()


def features(backbone: Backbone, *clips: dict[str, Any]) -> Features:
    """Features of clips in one batch, without gradients, in the backbone's current mode."""
    with torch.no_grad():
        return backbone(backbone.collate([backbone.preprocess(each) for each in clips]))


def assert_independent(backbone: Backbone, *seconds: float, tolerance: float = 1e-4) -> None:
    """Each clip gives the same alone, beside longer clips and beside other clips of its length."""
    backbone.eval()
    clips = [clip(duration, pitch=200.0 + 50 * number, seed=number) for number, duration in enumerate(seconds)]
    together = features(backbone, *clips)
    for number, each in enumerate(clips):
        alone = features(backbone, each)
        length = int(alone.mask.sum())
        assert alone.mask.shape == (1, length)
        assert int(backbone.preprocess(each)["frames"]) == length
        assert together.mask[number].tolist() == [place < length for place in range(together.mask.shape[1])]
        _close(together.sequence[number, :length], alone.sequence[0], tolerance)
        _close(together.pooled[number], alone.pooled[0], tolerance)


def _close(left: Tensor, right: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(left, right, atol=tolerance, rtol=tolerance)


@pytest.fixture
def sounds() -> SimpleNamespace:
    return SimpleNamespace(
        tone=tone, clip=clip, encoded=encoded, features=features, assert_independent=assert_independent
    )
