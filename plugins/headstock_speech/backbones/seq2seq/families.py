"""How the encoders of speech encoder-decoders are fed and run: Whisper, Moonshine, Speech2Text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from headstock.kits.pretrained import quiet
from headstock_speech.backbones.base import within
from headstock_speech.backbones.family import Family
from headstock_speech.backbones.waveform import run_by_length
from headstock_speech.backbones.whisper import WhisperFamily, masked_states


class WhisperWhole(WhisperFamily):
    """Whisper with its decoder, which hears the silence behind each clip, too."""

    loader = "AutoModelForSpeechSeq2Seq"
    part = ""

    def frames(self, samples: int) -> int:
        """Return the number of vectors, one every 20 ms, those of the silence with them."""
        if samples < self.window:
            return 0
        return (min(-(-samples // self.hop) + self.silence, self.most_frames) + 1) // 2

    def framing(self) -> Mapping[str, Any]:
        """Return window, hop and silence."""
        return {**super().framing(), "silence": self.silence}

    def encode(self, body: nn.Module, embedded: Tensor, lengths: Tensor) -> Tensor:
        """Return the encoder's last hidden states."""
        model: Any = body
        return masked_states(model.get_encoder(), embedded, self.heard(lengths))

    def fixed_parts(self, body: nn.Module) -> Sequence[nn.Module]:
        """Return the encoder's positions."""
        model: Any = body
        return super().fixed_parts(model.get_encoder())

    def save(self, body: nn.Module, directory: Path) -> None:
        """Write the model so that ``AutoModelForSpeechSeq2Seq`` loads it."""
        save_whole(body, self.extractor, directory)


class MoonshineWhole(Family):
    """Moonshine takes the waveform itself, of any length.

    It normalises over the whole clip, so that clips of equal length are run together, without padding.
    Source: N. Jeffries et al., "Moonshine: Speech Recognition for Live Transcription and Voice Commands", 2024.
    """

    loader = "AutoModelForSpeechSeq2Seq"

    def __init__(self, model: Any, extractor: Any) -> None:
        super().__init__()
        self.extractor = extractor
        self.sampling_rate = int(extractor.sampling_rate)
        self.normalise = bool(extractor.do_normalize)
        self.feature_dim = int(model.config.hidden_size)
        self.convolutions = [
            (module.kernel_size[0], module.stride[0])
            for module in (getattr(model.get_encoder(), name) for name in ("conv1", "conv2", "conv3"))
        ]

    def frames(self, samples: int) -> int:
        """Return the number of vectors, one every 24 ms."""
        for kernel, stride in self.convolutions:
            samples = (samples - kernel) // stride + 1
        return samples

    def framing(self) -> Mapping[str, Any]:
        """Return kernels and strides."""
        return {"convolutions": [list(pair) for pair in self.convolutions]}

    def embed(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        """Return the waveform (B, S), each clip at mean 0 and variance 1 if the model wants that."""
        if not self.normalise:
            return waveform
        mask, count = within(lengths, waveform.shape[1]), lengths.unsqueeze(1)
        centred = (waveform - waveform.sum(dim=1, keepdim=True) / count) * mask
        normed: Tensor = centred / (centred.square().sum(dim=1, keepdim=True) / count + 1e-7).sqrt()
        return normed

    def encode(self, body: nn.Module, embedded: Tensor, lengths: Tensor) -> Tensor:
        """Return the encoder's last hidden states."""
        model: Any = body
        return run_by_length(model.get_encoder(), embedded, lengths, self.frames(embedded.shape[1]))

    def save(self, body: nn.Module, directory: Path) -> None:
        """Write the model so that ``AutoModelForSpeechSeq2Seq`` loads it."""
        save_whole(body, self.extractor, directory)


class Speech2TextWhole(Family):
    """Speech2Text takes filter banks as its own feature extractor makes them, on the host.

    Its convolutions would hear padding, so that clips with as many frames are run together, without any.
    Source: C. Wang et al., "fairseq S2T: Fast Speech-to-Text Modeling with fairseq", AACL 2020.
    """

    loader = "AutoModelForSpeechSeq2Seq"
    WINDOW_SECONDS, HOP_SECONDS = 0.025, 0.010

    def __init__(self, model: Any, extractor: Any) -> None:
        super().__init__()
        self.extractor = extractor
        self.sampling_rate = int(extractor.sampling_rate)
        self.feature_dim = int(model.config.d_model)
        self.halvings = int(model.config.num_conv_layers)
        self.window = round(self.WINDOW_SECONDS * self.sampling_rate)
        self.hop = round(self.HOP_SECONDS * self.sampling_rate)
        self.longest = self.window + (int(model.config.max_source_positions) - 1) * self.hop

    def frames(self, samples: int) -> int:
        """Return the number of vectors, one every 40 ms."""
        if samples < self.window:
            return 0
        found = (samples - self.window) // self.hop + 1
        for _ in range(self.halvings):
            found = (found - 1) // 2 + 1
        return found

    def framing(self) -> Mapping[str, Any]:
        """Return window, hop and how often the frames are halved."""
        return {"window": self.window, "hop": self.hop, "halvings": self.halvings}

    def embed(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        """Return filter banks (B, T, bands), 0 behind each clip's end."""
        clips = [row[:length].numpy() for row, length in zip(waveform.cpu(), lengths.tolist(), strict=True)]
        found = self.extractor(clips, sampling_rate=self.sampling_rate, padding=True, return_tensors="pt")
        banks: Tensor = found["input_features"].to(waveform.device)
        return banks

    def encode(self, body: nn.Module, embedded: Tensor, lengths: Tensor) -> Tensor:
        """Return the encoder's last hidden states."""
        model: Any = body
        counts = torch.div(lengths - self.window, self.hop, rounding_mode="floor") + 1
        return run_by_length(model.get_encoder(), embedded, counts, self.frames(int(lengths.max())))

    def save(self, body: nn.Module, directory: Path) -> None:
        """Write the model so that ``AutoModelForSpeechSeq2Seq`` loads it."""
        save_whole(body, self.extractor, directory)


def save_whole(body: nn.Module, extractor: Any, directory: Path) -> None:
    """Write a model and its feature extractor as ``save_pretrained`` lays them."""
    model: Any = body
    with quiet():
        model.save_pretrained(directory)
        extractor.save_pretrained(directory)
