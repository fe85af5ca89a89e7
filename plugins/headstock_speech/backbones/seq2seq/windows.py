"""Long recordings: cut at silence into windows, put into a batch, and joined again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstock import pad_stack

STEP_SECONDS = 0.01
"""Loudness is looked at so often."""
PAUSE_SECONDS = 0.3
"""A pause between phrases is about so long; loudness is the mean over it."""
LEAST_SHARE = 0.5
"""A window is at least this fraction of the longest one, unless it is the last."""
REST_SHARE = 0.1
"""And so much is left for the last, where there is as much."""


def cut_at_silence(samples: NDArray[np.int16], rate: int, longest: int) -> list[int]:
    """Return the lengths of windows that a recording is cut into, in samples, each at most ``longest``.

    Each cut is in the middle of the quietest 0.3 s between half of the longest window and the whole of it.

    Args:
        samples: The recording (T,).
        rate: Samples a second.
        longest: Samples of a window at most.
    """
    lengths: list[int] = []
    start = 0
    while len(samples) - start > longest:
        rest = len(samples) - start
        last = max(min(longest, rest - int(longest * REST_SHARE)), 1)
        first = min(int(longest * LEAST_SHARE), last - 1)
        length = first + _quietest(samples[start + first : start + last], rate)
        lengths.append(length)
        start += length
    return [*lengths, len(samples) - start]


def _quietest(samples: NDArray[np.int16], rate: int) -> int:
    """Return the middle of the quietest pause; at least 1."""
    step, pause = max(round(STEP_SECONDS * rate), 1), max(round(PAUSE_SECONDS * rate), 1)
    pause = min(pause, len(samples))
    sums = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    starts = np.arange(0, len(samples) - pause + 1, step)
    quietest = int(starts[np.argmin(sums[starts + pause] - sums[starts])])
    return max(quietest + pause // 2, 1)


class Windows(NamedTuple):
    """What an encoder makes of windows, each a row.

    Attributes:
        sequence: Float tensor (W, F, D).
        mask: Bool tensor (W, F), true at the real frames of each window, which are its first.
    """

    sequence: Tensor
    mask: Tensor


def join_windows(windows: Windows, counts: Sequence[int]) -> Windows:
    """Return the real frames of each recording's windows one after the other, a row for each recording.

    Args:
        windows: All recordings' windows in order.
        counts: How many windows each recording has.
    """
    if len(counts) == len(windows.mask):
        return windows
    frames = windows.mask.sum(dim=1).tolist()
    rows = [windows.sequence[row, :length] for row, length in enumerate(frames)]
    parts, row = [], 0
    for count in counts:
        parts.append(torch.cat(rows[row : row + count]))
        row += count
    return _stacked(parts)


def split_windows(recordings: Windows, frames: Sequence[Sequence[int]]) -> Windows:
    """Undo :func:`join_windows`; also where rows were padded further.

    Args:
        recordings: A row for each recording.
        frames: For each recording the frames of each of its windows.
    """
    if all(len(each) == 1 for each in frames):
        return recordings
    return _stacked(
        [
            part
            for row, each in zip(recordings.sequence, frames, strict=True)
            for part in row[: sum(each)].split(list(each))
        ]
    )


def _stacked(parts: Sequence[Tensor]) -> Windows:
    lengths = torch.tensor([len(part) for part in parts], device=parts[0].device)
    sequence = pad_stack(parts, 0.0)
    return Windows(sequence, torch.arange(sequence.shape[1], device=sequence.device) < lengths.unsqueeze(1))
