"""Whisper's encoder on clips of their own length, instead of 30 seconds each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import WhisperConfig, WhisperFeatureExtractor
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from headstock_speech.backbones.base import within
from headstock_speech.backbones.family import Family

KEYS = {r"^(model\.)?encoder\.": ""}
"""From the names of weights in a Whisper checkpoint, with or without decoder, to those of the encoder alone."""

POWER_FLOOR = 1e-10
DECADES = 8.0
"""Whisper's spectrogram reaches this many powers of ten below the loudest point of a clip."""


class MaskedWhisperEncoder(WhisperEncoder):  # type: ignore[no-untyped-call]
    """``WhisperEncoder`` that takes any length up to its limit and keeps padding out of every example.

    The modules and the names of the weights are those of transformers; only the forward pass differs.
    """

    def forward(self, input_features: Tensor, frames: Tensor) -> BaseModelOutput:
        """Return ``last_hidden_state`` (B, (T + 1) // 2, D), see :func:`masked_states`."""
        return BaseModelOutput(last_hidden_state=masked_states(self, input_features, frames))


def masked_states(encoder: Any, input_features: Tensor, frames: Tensor) -> Tensor:
    """Return the last hidden states (B, (T + 1) // 2, D) of a ``WhisperEncoder``, for any length up to its limit.

    Args:
        encoder: The encoder of transformers.
        input_features: Log-mel spectrogram (B, bands, T), 0 behind each example's end.
        frames: Real frames of each example (B,).
    """
    # A convolution pads with zeros; so each example sees zeros behind its end, as it would alone.
    real = within(frames, input_features.shape[2]).unsqueeze(1)
    states = F.gelu(encoder.conv1(input_features * real)) * real
    states = F.gelu(encoder.conv2(states)).transpose(1, 2)
    states = states + encoder.embed_positions.weight[: states.shape[1]].detach()
    states = F.dropout(states, p=encoder.dropout, training=encoder.training)
    mask = create_bidirectional_mask(encoder.config, states, within((frames + 1) // 2, states.shape[1]))
    for layer in encoder.layers:
        if not (encoder.training and encoder.layerdrop > 0 and torch.rand([]) < encoder.layerdrop):
            states = layer(states, mask)
    normed: Tensor = encoder.layer_norm(states)
    return normed


class WhisperFamily(Family):
    """Whisper: log-mel spectrogram as its own feature extractor makes it, in batches on the device.

    Whisper was trained on clips with silence up to 30 s. Its features of a clip alone lie near those of the padded
    clip, not upon them: on read English of 3 to 11 s with whisper-base the mean cosine similarity of their frames was
    0.94 to 0.97 with no silence, 0.95 to 0.98 with 0.5 s, 0.97 to 0.99 with 2 s, in a third of the time or less. With
    30 s they are equal.

    Args:
        config: The model's configuration.
        extractor: Its feature extractor.
        silence_seconds: Silence that the model hears behind each clip.
    """

    loader = "AutoModelForAudioClassification"
    part = ".encoder"

    def __init__(self, config: WhisperConfig, extractor: WhisperFeatureExtractor, silence_seconds: float) -> None:
        super().__init__()
        self.extractor = extractor
        self.sampling_rate = int(extractor.sampling_rate)
        self.feature_dim = int(config.d_model)
        self.window, self.hop = int(extractor.n_fft), int(extractor.hop_length)
        self.most_frames = 2 * int(config.max_source_positions)
        self.longest = self.most_frames * self.hop
        self.silence = round(silence_seconds * self.sampling_rate / self.hop)
        self.hann: Tensor
        self.filters: Tensor
        self.register_buffer("hann", torch.hann_window(self.window), persistent=False)
        filters = torch.as_tensor(extractor.mel_filters, dtype=torch.float32).T.contiguous()
        self.register_buffer("filters", filters, persistent=False)

    def frames(self, samples: int) -> int:
        """Return the number of vectors, one every 20 ms; those of the silence are not given."""
        return (-(-samples // self.hop) + 1) // 2 if samples >= self.window else 0

    def framing(self) -> Mapping[str, Any]:
        """Return window and hop."""
        return {"window": self.window, "hop": self.hop}

    def heard(self, lengths: Tensor) -> Tensor:
        """Return the spectrogram frames of each clip with its silence (B,)."""
        return ((lengths + self.hop - 1) // self.hop + self.silence).clamp(max=self.most_frames)

    def embed(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        """Return the log-mel spectrogram (B, bands, T), 0 behind the silence that follows each clip."""
        with torch.autocast(waveform.device.type, enabled=False):
            half = self.window // 2
            size = min(-(-waveform.shape[1] // self.hop) + self.silence, self.most_frames)
            # As torch.stft with its default centring: mirrored at the start. Behind the end is silence.
            mirrored = waveform[:, 1 : half + 1].flip(1)
            around = torch.cat([mirrored, waveform], dim=1)
            around = F.pad(around, (0, (size - 1) * self.hop + self.window - around.shape[1]))
            spectrum = torch.stft(around, self.window, self.hop, window=self.hann, center=False, return_complex=True)
            power = self.filters @ spectrum.abs().square()
            mask = within(self.heard(lengths), size).unsqueeze(1)
            decades = power.clamp(min=POWER_FLOOR).log10()
            loudest = decades.masked_fill(~mask, -torch.inf).amax(dim=(1, 2), keepdim=True)
            return (torch.maximum(decades, loudest - DECADES) + 4.0) / 4.0 * mask

    def encode(self, body: nn.Module, embedded: Tensor, lengths: Tensor) -> Tensor:
        """Return the encoder's last hidden states; behind a clip's own frames stand those of its silence."""
        states: Tensor = body(embedded, frames=self.heard(lengths)).last_hidden_state
        return states

    def fixed_parts(self, body: nn.Module) -> Sequence[nn.Module]:
        """Return the encoder's positions, which are sinusoids, whatever an adapter marks as trained."""
        model: Any = body
        return (model.embed_positions,)

    def save(self, body: nn.Module, directory: Path) -> None:
        """Write the encoder so that ``AutoModelForAudioClassification`` and ``AutoModel`` load it as ``.encoder``."""
        encoder: Any = body
        config = WhisperConfig.from_dict(encoder.config.to_dict())
        config.architectures = ["WhisperForAudioClassification"]
        config.dtype = "float32"
        config.save_pretrained(directory)
        self.extractor.save_pretrained(directory)
        weights = {f"encoder.{name}": value.contiguous() for name, value in encoder.state_dict().items()}
        save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
