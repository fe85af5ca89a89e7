"""The network of the ``crnn`` backbone. An example's output does not depend on what it is padded to."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from headstock_speech.backbones.base import within
from headstock_speech.backbones.gru import GRU

KERNEL = 3


def halved(size: int) -> int:
    """Return the length of a sequence after a convolution of stride 2."""
    return (size + 1) // 2


class ConvGru(nn.Module):
    """Two convolutions over time and frequency, then bidirectional gated recurrent layers over time.

    Args:
        bands: Frequency bins of the spectrogram.
        channels: Channels of the convolutions.
        hidden: Units of each direction of a recurrent layer.
        layers: Number of recurrent layers.
        halvings: How many of the convolutions halve the number of frames (1 or 2).
        dropout: Dropout before each recurrent layer and behind the last.
    """

    def __init__(self, bands: int, channels: int, hidden: int, layers: int, halvings: int, dropout: float) -> None:
        super().__init__()
        self.checkpointing = False
        bins = [halved(bands), halved(halved(bands))]
        self.convolutions = nn.ModuleList(
            [
                _MaskedConvolution(1, channels, bins[0], time_stride=2),
                _MaskedConvolution(channels, channels, bins[1], time_stride=2 if halvings == 2 else 1),
            ]
        )
        self.project = nn.Linear(channels * bins[1], 2 * hidden)
        self.norm = nn.LayerNorm(2 * hidden)
        self.recurrent = nn.ModuleList([_Recurrent(2 * hidden, hidden, dropout) for _ in range(layers)])
        self.dropout = nn.Dropout(dropout)

    def forward(self, spectrogram: Tensor, frames: Tensor) -> Tensor:
        """Return (B, T', 2 * hidden), 0 behind each example's end.

        Args:
            spectrogram: Spectrogram (B, T, bands).
            frames: Real frames of each example (B,).
        """
        states = spectrogram.unsqueeze(1) * within(frames, spectrogram.shape[1])[:, None, :, None]
        for convolution in self.convolutions:
            states, frames = self._run(convolution, states, frames)
        sequence: Tensor = self.norm(self.project(states.transpose(1, 2).flatten(2)))
        for recurrent in self.recurrent:
            sequence = self._run(recurrent, sequence, frames)
        sequence = self.dropout(sequence)
        return sequence * within(frames, sequence.shape[1]).unsqueeze(2)

    def _run(self, part: nn.Module, *inputs: Tensor) -> Any:
        if self.checkpointing and self.training and torch.is_grad_enabled():
            return checkpoint(part, *inputs, use_reentrant=False)
        return part(*inputs)


class _MaskedConvolution(nn.Module):
    """Convolution over time and frequency, layer normalisation of each frame, GELU, and zeros behind the end."""

    def __init__(self, inputs: int, outputs: int, bins: int, time_stride: int) -> None:
        super().__init__()
        self.time_stride = time_stride
        self.convolution = nn.Conv2d(inputs, outputs, KERNEL, stride=(time_stride, 2), padding=KERNEL // 2)
        self.norm = nn.LayerNorm([outputs, bins])

    def forward(self, states: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, C, T', F') and the number of real frames of each example."""
        if self.time_stride == 2:
            frames = (frames + 1) // 2
        states = self.norm(self.convolution(states).transpose(1, 2)).transpose(1, 2)
        return F.gelu(states) * within(frames, states.shape[2])[:, None, :, None], frames


class _Recurrent(nn.Module):
    """Dropout, one GRU forwards and one backwards, and a residual connection around them.

    The backward one hears each example from its own last frame; turning the examples round on the device costs less
    than packing, which needs their lengths on the host.
    """

    def __init__(self, inputs: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.forwards = GRU(inputs, hidden, batch_first=True)
        self.backwards = GRU(inputs, hidden, batch_first=True)
        self.norm = nn.LayerNorm(2 * hidden)

    def forward(self, sequence: Tensor, frames: Tensor) -> Tensor:
        """Return (B, T, 2 * hidden)."""
        states = self.dropout(sequence)
        onwards, _ = self.forwards(states)
        returned, _ = self.backwards(_turn(states, frames))
        summed: Tensor = self.norm(sequence + torch.cat([onwards, _turn(returned, frames)], dim=2))
        return summed


def _turn(sequence: Tensor, frames: Tensor) -> Tensor:
    """Return (B, T, D) with the real frames of each example in reverse order."""
    position = torch.arange(sequence.shape[1], device=frames.device)
    last = frames.unsqueeze(1) - 1
    source = torch.where(position <= last, last - position, position)
    return sequence.gather(1, source.unsqueeze(2).expand_as(sequence))
