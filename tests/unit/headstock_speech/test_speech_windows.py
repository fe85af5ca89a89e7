from __future__ import annotations

import numpy as np
import pytest
import torch

from headstock_speech.backbones.seq2seq.windows import Windows, cut_at_silence, join_windows, split_windows

RATE = 1000


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).integers(-9000, 9000, round(seconds * RATE)).astype(np.int16)


def test_a_recording_is_cut_where_it_is_quietest() -> None:
    samples = noise(10)
    for pause in (3.1, 6.4, 7.0):  # the last is too early for a cut, the second window being from 3.1 on
        samples[round((pause - 0.2) * RATE) : round((pause + 0.2) * RATE)] //= 100
    lengths = cut_at_silence(samples, RATE, 4 * RATE)
    assert sum(lengths) == len(samples)
    assert lengths[0] == pytest.approx(3.1 * RATE, abs=60)
    assert lengths[0] + lengths[1] == pytest.approx(6.4 * RATE, abs=60) or lengths[0] + lengths[1] == pytest.approx(
        7.0 * RATE, abs=60
    )
    assert max(lengths) <= 4 * RATE


@pytest.mark.parametrize("seconds", [0.05, 3.999, 4.0, 4.001, 4.2, 8.0, 33.3])
@pytest.mark.parametrize("loud", [True, False])
def test_no_window_is_too_long_or_empty(seconds: float, loud: bool) -> None:
    samples = noise(seconds) * loud
    lengths = cut_at_silence(samples, RATE, 4 * RATE)
    assert sum(lengths) == len(samples)
    assert max(lengths) <= 4 * RATE
    assert min(lengths) > 0.3 * RATE or len(lengths) == 1
    assert len(lengths) == 1 or all(length >= 2 * RATE for length in lengths[:-1])


def test_windows_are_joined_and_split_again() -> None:
    frames = [[3, 2], [4]]
    mask = torch.tensor([[True, True, True, False], [True, True, False, False], [True] * 4])
    sequence = torch.arange(24.0).view(3, 4, 2) * mask.unsqueeze(2)
    joined = join_windows(Windows(sequence, mask), [2, 1])
    assert joined.mask.tolist() == [[True] * 5, [True] * 4 + [False]]
    assert torch.equal(joined.sequence[0, 3:], sequence[1, :2])
    again = split_windows(joined, frames)
    assert torch.equal(again.sequence, sequence)
    assert torch.equal(again.mask, mask)
