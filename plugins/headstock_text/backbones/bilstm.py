"""A bidirectional LSTM over a text (Graves & Schmidhuber 2005)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from headstock_text.backbones.wordmodel import WordModel, WordModelConfig


class BiLstmConfig(WordModelConfig):
    """Options of the ``bilstm`` backbone."""

    hidden_size: int = Field(128, ge=1, le=4096, description="size of the state in each direction")
    layers: int = Field(1, ge=1, le=8, description="number of layers")


class BiLstm(WordModel):
    """Reads the text in both directions, so that each token's features know what stands before and after it."""

    Config = BiLstmConfig

    @staticmethod
    def build_body(config: Any, size: int) -> tuple[nn.Module, int]:
        """Return the LSTM."""
        return BothWays(size, config.hidden_size, config.layers, config.dropout), 2 * config.hidden_size


class BothWays(nn.Module):
    """LSTM layers in both directions over right-padded sequences.

    Each direction is an LSTM of its own, and the backward one reads the tokens of each example in reverse order with
    the padding left at the end. So padding never comes before a token, without packing, which would have to wait
    for the lengths to come from the device.
    """

    def __init__(self, size: int, hidden_size: int, layers: int, dropout: float) -> None:
        super().__init__()
        sizes = [size] + [2 * hidden_size] * (layers - 1)
        self.forwards = nn.ModuleList(nn.LSTM(each, hidden_size, batch_first=True) for each in sizes)
        self.backwards = nn.ModuleList(nn.LSTM(each, hidden_size, batch_first=True) for each in sizes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, embedded: Tensor, mask: Tensor) -> Tensor:
        """Return (B, T, 2 x hidden_size)."""
        order = _reversed_positions(mask).unsqueeze(-1)
        sequence: Tensor = self.dropout(embedded)
        for onward, back in zip(self.forwards, self.backwards, strict=True):
            with _without_bfloat16_on_cpus(sequence):
                ahead, _ = onward(sequence)
                behind, _ = back(sequence.take_along_dim(order, dim=1))
            sequence = self.dropout(torch.cat((ahead, behind.take_along_dim(order, dim=1)), dim=-1))
        return sequence


def _without_bfloat16_on_cpus(sequence: Tensor) -> AbstractContextManager[object]:
    """Keep autocast from an LSTM on a CPU, where bfloat16 is no faster and, without AVX-512, has no kernel."""
    on_cpu = sequence.device.type == "cpu"
    return torch.autocast("cpu", enabled=False) if on_cpu else nullcontext()


def _reversed_positions(mask: Tensor) -> Tensor:
    """Return positions (B, T) that turn each example's tokens round and leave its padding where it is."""
    positions = torch.arange(mask.shape[1], device=mask.device).unsqueeze(0)
    lengths = mask.sum(dim=1, keepdim=True)
    return torch.where(mask, lengths - 1 - positions, positions)
