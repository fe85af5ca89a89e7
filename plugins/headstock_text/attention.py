"""Layers of a transformer that encoder and decoder share; those of the decoder remember keys and values."""

from __future__ import annotations

import math
from typing import Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from headstock import Config

Memory = dict[str, Tensor]
"""Keys and values that a layer has seen so far."""


class AttentionConfig(Config):
    """Options of an encoder or decoder from scratch."""

    dim: int = Field(192, ge=8, le=4096, description="size of the vectors")
    heads: int = Field(4, ge=1, le=128, description="attention heads")
    layers: int = Field(3, ge=1, le=48, description="layers")
    dropout: float = Field(0.2, ge=0, lt=1, description="dropout on embeddings and behind each part of a layer")

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.dim % (2 * self.heads):
            raise ValueError(f"dim ({self.dim}) must be a multiple of twice heads ({self.heads})")
        return self


class Block(nn.Module):
    """Self-attention, attention to the source where there is one, and a feed-forward part, each normalised first."""

    def __init__(self, dim: int, heads: int, dropout: float, crosses: bool) -> None:
        super().__init__()
        self.own = Attention(dim, heads, dropout)
        self.own_norm = nn.LayerNorm(dim)
        self.cross = Attention(dim, heads, dropout) if crosses else None
        self.cross_norm = nn.LayerNorm(dim) if crosses else None
        self.feed = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * dim, dim))
        self.feed_norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        states: Tensor,
        mask: Tensor | None,
        source: Tensor | None = None,
        source_mask: Tensor | None = None,
        memory: Memory | None = None,
    ) -> Tensor:
        """Return new states (B, T, D).

        Args:
            states: (B, T, D).
            mask: Where a state may look, broadcast to (B, heads, T, S); ``None``: everywhere.
            source: States (B, S, D) of the source.
            source_mask: Where there is a source, broadcast to (B, heads, T, S).
            memory: Keys and values of earlier states, to which those of these states are added, and of the source,
                which are worked out once.
        """
        normed = self.own_norm(states)
        states = states + self.dropout(self.own(normed, normed, mask, memory))
        if self.cross is not None and self.cross_norm is not None and source is not None:
            states = states + self.dropout(self.cross(self.cross_norm(states), source, source_mask, memory, "source "))
        fed: Tensor = states + self.dropout(self.feed(self.feed_norm(states)))
        return fed


class Attention(nn.Module):
    """Scaled dot-product attention with several heads."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.rate = heads, dropout
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)

    def forward(
        self, states: Tensor, source: Tensor, mask: Tensor | None, memory: Memory | None = None, which: str = ""
    ) -> Tensor:
        """Return for each of the states (B, T, D) a mix of the source (B, S, D).

        ``which`` names the source in ``memory``; a named one stays the same and is looked up, the states' own grows.
        """
        query = self._split(self.query(states))
        if memory is not None and which and f"{which}key" in memory:
            key, value = memory[f"{which}key"], memory[f"{which}value"]
        else:
            key, value = self._split(self.key(source)), self._split(self.value(source))
        if memory is not None:
            if not which and "key" in memory:
                key, value = torch.cat((memory["key"], key), dim=2), torch.cat((memory["value"], value), dim=2)
            memory[f"{which}key"], memory[f"{which}value"] = key, value
        rate = self.rate if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=rate)
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out

    def _split(self, states: Tensor) -> Tensor:
        size, length, dim = states.shape
        return states.view(size, length, self.heads, dim // self.heads).transpose(1, 2)


def sinusoids(length: int, dim: int, like: Tensor, first: int = 0) -> Tensor:
    """Return vectors (length, dim) for positions from ``first``, of the device and type of ``like``."""
    positions = torch.arange(first, first + length, device=like.device, dtype=torch.float32).unsqueeze(1)
    rates = torch.exp(torch.arange(0, dim, 2, device=like.device, dtype=torch.float32) * (-math.log(10_000.0) / dim))
    return torch.cat((torch.sin(positions * rates), torch.cos(positions * rates)), dim=1).to(like.dtype)
