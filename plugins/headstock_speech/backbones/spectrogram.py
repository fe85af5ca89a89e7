"""Log-mel spectrograms of padded batches in which no clip hears its neighbours."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchaudio.transforms import MelSpectrogram

from headstock_speech.backbones.base import within

WINDOW_SECONDS = 0.025
HOP_SECONDS = 0.010
QUIETEST = 1e-6
"""Power under which nothing is heard: about the noise of 16-bit quantisation, summed over a mel band."""


class LogMel(nn.Module):
    """Log-mel spectrogram, each band brought to mean 0 and all together to variance 1 over the clip.

    With a variance for each band, the noise of bands in which nothing happens would be as loud as speech.

    Frames of 25 ms every 10 ms, centred on multiples of 10 ms, silence around the clip.

    Args:
        sampling_rate: Samples a second.
        bands: Number of mel bands.
    """

    def __init__(self, sampling_rate: int, bands: int) -> None:
        super().__init__()
        self.window = round(WINDOW_SECONDS * sampling_rate)
        self.hop = round(HOP_SECONDS * sampling_rate)
        # Twice the window or more: with wide bins, the lowest mel bands would hold no bin at all.
        self.transform_size = 1 << (2 * self.window - 1).bit_length()
        self.mel = MelSpectrogram(
            sampling_rate,
            n_fft=self.transform_size,
            win_length=self.window,
            hop_length=self.hop,
            n_mels=bands,
            center=False,
        )

    def frames(self, samples: int) -> int:
        """Return the number of frames of a clip, 0 if it is shorter than a window."""
        return samples // self.hop + 1 if samples >= self.window else 0

    def counts(self, lengths: Tensor) -> Tensor:
        """Return the number of frames of clips that are long enough (B,)."""
        return lengths // self.hop + 1

    def forward(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        """Return float32 (B, T, bands), 0 behind each clip's end.

        Args:
            waveform: Samples (B, S), 0 behind each clip's end.
            lengths: Samples of each clip (B,).
        """
        around = self.transform_size // 2
        with torch.autocast(waveform.device.type, enabled=False):
            power: Tensor = self.mel(F.pad(waveform.float(), (around, around)))
            spectrogram = power.clamp(min=QUIETEST).log().transpose(1, 2)
            frames = self.counts(lengths)
            mask = within(frames, spectrogram.shape[1]).unsqueeze(2)
            count = frames.view(-1, 1, 1)
            centred = spectrogram - (spectrogram * mask).sum(dim=1, keepdim=True) / count
            variance = (centred.square() * mask).mean(dim=2, keepdim=True).sum(dim=1, keepdim=True) / count
            return centred * mask / (variance + 1e-5).sqrt()
