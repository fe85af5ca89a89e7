"""The ``crnn`` backbone: small, trained from scratch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field
from torch import Tensor

from headstock import Features, TrainingFacts
from headstock.kits.pooling import masked_mean
from headstock.kits.weights import load_weights, save_weights
from headstock_speech.backbones.base import SpeechBackbone, SpeechConfig, samples_of, within
from headstock_speech.backbones.convgru import ConvGru, halved
from headstock_speech.backbones.specaugment import spec_augment
from headstock_speech.backbones.spectrogram import LogMel


class CrnnConfig(SpeechConfig):
    """Options of the ``crnn`` backbone."""

    sampling_rate: int = Field(16000, ge=4000, le=48000, description="samples a second; audio is resampled to it")
    mel_bands: int = Field(40, ge=8, le=128, description="bands of the log-mel spectrogram, one frame every 10 ms")
    time_reduction: Literal[2, 4] = Field(2, description="spectrogram frames that become one output frame")
    channels: int = Field(16, ge=1, le=1024, description="channels of the two convolutions")
    hidden_size: int = Field(96, ge=1, le=4096, description="units of each direction of a recurrent layer")
    layers: int = Field(2, ge=1, le=16, description="recurrent layers")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout around the recurrent layers")
    frequency_masks: int = Field(2, ge=0, le=100, description="SpecAugment: bands of frequency blanked in training")
    frequency_mask_share: float = Field(
        0.15, ge=0, le=1, description="SpecAugment: fraction of the mel bands in such a band at most"
    )
    time_masks: int = Field(2, ge=0, le=1000, description="SpecAugment: stretches of time blanked in training")
    time_mask_share: float = Field(0.05, ge=0, le=1, description="SpecAugment: fraction of a clip in a stretch at most")


class Crnn(SpeechBackbone):
    """Log-mel spectrogram, SpecAugment in training, convolutions, bidirectional GRU.

    A layout in the manner of Deep Speech 2 (Amodei et al. 2016), in small.
    """

    Config = CrnnConfig
    config: CrnnConfig

    def __init__(self, config: CrnnConfig) -> None:
        super().__init__(config)
        self.sampling_rate = config.sampling_rate
        self.max_seconds = config.max_seconds
        self.feature_dim = 2 * config.hidden_size
        self.spectrogram = LogMel(config.sampling_rate, config.mel_bands)
        self.body = ConvGru(
            bands=config.mel_bands,
            channels=config.channels,
            hidden=config.hidden_size,
            layers=config.layers,
            halvings=config.time_reduction // 2,
            dropout=config.dropout,
        )

    @classmethod
    def create(cls, config: CrnnConfig, inputs: Iterable[Mapping[str, Any]]) -> Self:
        """Make a new network; nothing is learnt from ``inputs``."""
        del inputs
        return cls(config)

    @classmethod
    def load(cls, config: CrnnConfig, directory: Path) -> Self:
        """Load what :meth:`save` wrote.

        Raises:
            HeadstockError: the weights are missing, damaged or of a network with other options.
        """
        backbone = cls(config)
        load_weights(backbone.body, directory)
        return backbone

    def save(self, directory: Path) -> None:
        """Write the weights; the options say all else."""
        save_weights(self.body, directory)

    @classmethod
    def trainer_defaults(cls, config: CrnnConfig, facts: TrainingFacts) -> Mapping[str, Any]:
        """Return what trains a small recognizer from scratch."""
        del config, facts
        return {"learning_rate": 3e-3, "epochs": 30, "batch_size": 16}

    def frames(self, samples: int) -> int:
        """Return the number of output frames, one every 20 or 40 ms."""
        frames = halved(self.spectrogram.frames(samples))
        return frames if self.config.time_reduction == 2 else halved(frames)

    def framing(self) -> Mapping[str, Any]:
        """Return the step of the frames."""
        return {"time_reduction": self.config.time_reduction}

    def embed(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return the normalised log-mel spectrogram (B, T, bands)."""
        spectrogram: Tensor = self.spectrogram(samples_of(inputs), inputs["lengths"])
        return spectrogram

    def encode(self, embedded: Tensor, inputs: dict[str, Tensor]) -> Features:
        """Return the states of the last layer; ``pooled`` is their mean."""
        frames = self.spectrogram.counts(inputs["lengths"])
        if self.training:
            config = self.config
            embedded = spec_augment(
                embedded,
                frames,
                bands=config.frequency_masks,
                band_share=config.frequency_mask_share,
                stretches=config.time_masks,
                stretch_share=config.time_mask_share,
            )
        sequence = self.body(embedded, frames)
        mask = within(inputs["frames"], sequence.shape[1])
        return Features(sequence, mask, masked_mean(sequence, mask))

    def enable_gradient_checkpointing(self) -> None:
        """Compute convolutions and recurrent layers again in the backward pass."""
        for module in self.body.modules():  # an adapter may have wrapped the network
            if isinstance(module, ConvGru):
                module.checkpointing = True
