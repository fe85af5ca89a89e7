"""Convolutions of several widths over a text.

Kim 2014, "Convolutional Neural Networks for Sentence Classification".
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from headstock_text.backbones.wordmodel import WordModel, WordModelConfig


class TextCnnConfig(WordModelConfig):
    """Options of the ``textcnn`` backbone."""

    widths: tuple[Annotated[int, Field(ge=1, le=25)], ...] = Field(
        (2, 3, 4), min_length=1, max_length=32, description="widths of the convolutions, in tokens"
    )
    filters: int = Field(100, ge=1, le=4096, description="number of filters of each width")


class TextCnn(WordModel):
    """Parallel convolutions; the features are their maxima over the text. Quick, and strong where phrases decide."""

    Config = TextCnnConfig

    @staticmethod
    def build_body(config: Any, size: int) -> tuple[nn.Module, int]:
        """Return the convolutions."""
        return Convolutions(size, config.widths, config.filters, config.dropout), len(config.widths) * config.filters


class Convolutions(nn.Module):
    """One convolution per width, each over the whole length."""

    def __init__(self, size: int, widths: tuple[int, ...], filters: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.convolutions = nn.ModuleList(nn.Conv1d(size, filters, width) for width in widths)
        self.widths = widths

    def forward(self, embedded: Tensor, mask: Tensor) -> Tensor:
        """Return (B, T, widths x filters); ``embedded`` is zero where there is padding."""
        del mask
        inputs = self.dropout(embedded).transpose(1, 2)
        # Padded by hand: torch warns about padding="same" when a width is even.
        found = [
            F.relu(convolution(F.pad(inputs, ((width - 1) // 2, width // 2))))
            for width, convolution in zip(self.widths, self.convolutions, strict=True)
        ]
        return torch.cat(found, dim=1).transpose(1, 2)
