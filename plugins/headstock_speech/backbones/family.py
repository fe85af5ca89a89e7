"""What a family of pretrained speech models has to say for ``transformers-speech`` to run it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn


class Family(nn.Module, ABC):
    """How models of one family are fed, run and saved. The model itself is the backbone's ``body``.

    Attributes:
        sampling_rate: Samples a second that the model hears.
        feature_dim: Size of its vectors.
        longest: Samples that it can take at most; ``None`` for no limit of its own.
    """

    sampling_rate: int
    feature_dim: int
    longest: int | None = None

    @abstractmethod
    def frames(self, samples: int) -> int:
        """Return the number of vectors that the model makes of a clip; below 1 for one that is too short."""

    @abstractmethod
    def framing(self) -> Mapping[str, Any]:
        """Return, as JSON values, what :meth:`frames` depends on."""

    @abstractmethod
    def embed(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        """Return what the model takes.

        Args:
            waveform: Samples (B, S) from -1 to 1, 0 behind each clip's end.
            lengths: Samples of each clip (B,).
        """

    @abstractmethod
    def encode(self, body: nn.Module, embedded: Tensor, lengths: Tensor) -> Tensor:
        """Return the model's last hidden states (B, T, D); what stands behind an example's own frames is undefined."""

    def fixed_parts(self, body: nn.Module) -> Sequence[nn.Module]:
        """Return the parts of the model that are never trained. The default is none."""
        del body
        return ()

    loader = "AutoModel"
    """Class of transformers that loads what :meth:`save` wrote, or the model it came from."""
    part = ""
    """What of the loaded model the backbone is."""

    @abstractmethod
    def save(self, body: nn.Module, directory: Path) -> None:
        """Write the model and its feature extractor as ``save_pretrained`` lays them."""
