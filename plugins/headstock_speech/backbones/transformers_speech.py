"""Pretrained speech encoders of the transformers library as a backbone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field
from torch import Tensor, nn

from headstock import Features, TrainingFacts
from headstock.kits.pooling import masked_mean
from headstock.kits.pretrained import checkpoint_gradients, loading_call
from headstock_speech.backbones.base import SpeechBackbone, SpeechConfig, samples_of, within
from headstock_speech.backbones.family import Family
from headstock_speech.backbones.hub_models import ENCODERS
from headstock_speech.backbones.loading import load_speech_model


class TransformersSpeechConfig(SpeechConfig):
    """Options of the ``transformers-speech`` backbone."""

    model: str = Field(min_length=1, description="Hub id (such as facebook/wav2vec2-base) or folder")
    revision: str | None = Field(None, min_length=1, description="branch, tag or commit on the Hub")
    silence_seconds: float = Field(
        0.5, ge=0, le=30, description="silence that Whisper hears behind each clip; 30: as in its pretraining, and slow"
    )


class TransformersSpeech(SpeechBackbone):
    """wav2vec 2.0, HuBERT, WavLM, UniSpeech, data2vec, or the encoder of Whisper.

    What a clip gives does not depend on the clips beside it (see :mod:`headstock_speech.backbones.waveform` and
    :mod:`headstock_speech.backbones.whisper`).
    """

    Config = TransformersSpeechConfig
    config: TransformersSpeechConfig

    def __init__(self, config: TransformersSpeechConfig, body: nn.Module, family: Family) -> None:
        super().__init__(config)
        self.source = config.model
        self.body = body
        self.family = family
        self.feature_dim = family.feature_dim
        self.sampling_rate = family.sampling_rate
        limit = float("inf") if family.longest is None else family.longest / family.sampling_rate
        self.max_seconds = min(config.max_seconds, limit)

    @classmethod
    def usual_values(cls, option: str, task: str) -> Mapping[str, Sequence[str]]:
        """Return models that are usual for the task, by language."""
        del task
        return ENCODERS if option == "model" else {}

    @classmethod
    def create(cls, config: TransformersSpeechConfig, inputs: Iterable[Mapping[str, Any]]) -> Self:
        """Load the pretrained model from the Hub or a folder."""
        del inputs
        return cls(config, *load_speech_model(config.model, config.revision, config.silence_seconds))

    @classmethod
    def load(cls, config: TransformersSpeechConfig, directory: Path) -> Self:
        """Load what :meth:`save` wrote."""
        return cls(config, *load_speech_model(str(directory), None, config.silence_seconds))

    def save(self, directory: Path) -> None:
        """Write model and feature extractor so that transformers loads them."""
        self.family.save(self.body, directory)

    def loading_expression(self, place: str) -> str:
        """Return the call of transformers that loads the model."""
        return loading_call(self.family.loader, place, self.config) + self.family.part

    @classmethod
    def trainer_defaults(cls, config: TransformersSpeechConfig, facts: TrainingFacts) -> Mapping[str, Any]:
        """Return what suits the tuning of a pretrained speech encoder with CTC (Baevski et al. 2020)."""
        del config, facts
        return {"learning_rate": 1e-4, "epochs": 20, "warmup_ratio": 0.1, "batch_size": 16}

    def frames(self, samples: int) -> int:
        """Return the number of vectors that the model makes of a clip."""
        return self.family.frames(samples)

    def framing(self) -> Mapping[str, Any]:
        """Return what the number of vectors depends on."""
        return self.family.framing()

    def embed(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return the normalised waveform (B, S), or for Whisper the log-mel spectrogram (B, bands, T)."""
        return self.family.embed(samples_of(inputs), inputs["lengths"])

    def encode(self, embedded: Tensor, inputs: dict[str, Tensor]) -> Features:
        """Return the last hidden states and their mean."""
        size = self.frames(inputs["waveform"].shape[1])
        sequence = self.family.encode(self.body, embedded, inputs["lengths"])[:, :size]
        mask = within(inputs["frames"], size)
        return Features(sequence, mask, masked_mean(sequence, mask))

    def fixed_parts(self) -> Sequence[nn.Module]:
        """Return what the model's family never trains."""
        wrapped: Any = self.body
        return self.family.fixed_parts(wrapped.get_base_model() if hasattr(wrapped, "get_base_model") else wrapped)

    def enable_gradient_checkpointing(self) -> None:
        """Compute the layers of the model again in the backward pass."""
        checkpoint_gradients(self.body)
