"""What all speech backbones share: waveform in, limits, batches, cost."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from headstock import Backbone, BadExampleError, Config, Example, pad_stack
from headstock_speech.decode import decode_audio

SCALE = 32768
"""Waveforms are kept as 16-bit integers of this scale: exact for 16-bit recordings, half the size of floats."""


class SpeechConfig(Config):
    """Options of every speech backbone."""

    max_seconds: float = Field(
        30.0, gt=0, le=86_400, description="longest clip that can be used; longer ones are bad examples"
    )


class SpeechBackbone(Backbone):
    """Base of speech backbones.

    A preprocessed example is ``waveform``, int16 (T,), mono at the backbone's rate, and ``frames``, int64 (), the
    number of vectors that :meth:`encode` makes of it, so that a task can see whether its target fits. A batch is
    ``waveform`` (B, T), padded with silence, ``lengths`` (B,) in samples, and ``frames`` (B,).

    Attributes:
        sampling_rate: Samples a second that the network hears.
        max_seconds: Longest clip: the option, or the network's own limit if that is lower.
    """

    modality: ClassVar[str] = "speech"
    thread_safe: ClassVar[bool] = True
    cost_unit: ClassVar[str] = "milliseconds of audio"
    config: SpeechConfig
    sampling_rate: int
    max_seconds: float

    @abstractmethod
    def frames(self, samples: int) -> int:
        """Return the length of the sequence that :meth:`encode` makes of a clip; below 1 for one that is too short."""

    @abstractmethod
    def framing(self) -> Mapping[str, Any]:
        """Return, as JSON values, what :meth:`frames` depends on."""

    def preprocess(self, inputs: Mapping[str, Any]) -> Example:
        """Return ``waveform`` and ``frames`` of ``{"audio": value}`` (see :func:`decode_audio`).

        Raises:
            BadExampleError: the audio cannot be read, or is too short or too long.
        """
        waveform, frames = self.waveform(inputs)
        return {"waveform": waveform, "frames": torch.tensor(frames)}

    def waveform(self, inputs: Mapping[str, Any]) -> tuple[Tensor, int]:
        """Return the waveform, int16 (T,), and the number of vectors that :meth:`encode` would make of it at once.

        Raises:
            BadExampleError: the audio cannot be read, or is too short or too long.
        """
        audio = decode_audio(inputs["audio"])
        if audio.seconds > self.max_seconds:
            raise BadExampleError(
                f"{audio.name} lasts {audio.seconds:.1f} s; this backbone takes up to {self.max_seconds:g} s "
                "(backbone.max_seconds)"
            )
        samples = audio.at(self.sampling_rate).samples
        frames = self.frames(len(samples))
        if frames < 1:
            raise BadExampleError(f"{audio.name} lasts only {audio.seconds:.4f} s; that is too short for this backbone")
        whole = np.clip(np.rint(samples * SCALE), -SCALE, SCALE - 1).astype(np.int16)
        return torch.from_numpy(whole), frames

    def fingerprint(self) -> Mapping[str, Any]:
        """Return what the waveform, its limits and the number of frames depend on."""
        return {"sampling_rate": self.sampling_rate, "max_seconds": self.max_seconds, **self.framing()}

    def collate(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        """Return ``waveform`` int16 (B, T), ``lengths`` (B,) and ``frames`` (B,)."""
        return {
            "waveform": pad_stack([example["waveform"] for example in examples], 0),
            "lengths": torch.tensor([len(example["waveform"]) for example in examples]),
            "frames": torch.stack([example["frames"] for example in examples]),
        }

    def cost(self, example: Example) -> int:
        """Return the duration in milliseconds."""
        return max(len(example["waveform"]) * 1000 // self.sampling_rate, 1)


def samples_of(inputs: Mapping[str, Tensor]) -> Tensor:
    """Return a batch's waveforms as float32 (B, T) from -1 to 1, exactly 0 behind each clip's end."""
    return inputs["waveform"].to(torch.float32) / SCALE


def within(lengths: Tensor, size: int) -> Tensor:
    """Return a mask (B, size), true at the first ``lengths`` (B,) positions of each row."""
    return torch.arange(size, device=lengths.device) < lengths.unsqueeze(1)
