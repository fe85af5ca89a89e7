"""The network of the multilingual Universal Sentence Encoder v3, the one with n-grams (Yang et al. 2020)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from headstock.kits.pooling import masked_mean

WORDS = 512
"""Size of a piece's vector, and of a text's."""
NGRAMS = ((2, 0), (3, 1), (5, 2))
"""Pieces that a branch sees at once, and how many of them stand before the piece itself."""
BRANCH = 256
"""Features of a branch."""
TOKEN = WORDS + len(NGRAMS) * BRANCH
"""Features of a token: its own vector and what each branch makes of its neighbours."""
EPSILON = 1e-12
"""Added to variances."""


class Encoder(nn.Module):
    """Convolutions over pairs, triples and fives of pieces, and four dense layers over their sum.

    Source: Y. Yang et al., "Multilingual Universal Sentence Encoder for Semantic Retrieval", ACL 2020 demonstrations.
    """

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(WORDS, len(NGRAMS) * BRANCH)
        self.projected_norm = nn.LayerNorm(len(NGRAMS) * BRANCH, eps=EPSILON)
        self.branches = nn.ModuleList(Branch(size, before) for size, before in NGRAMS)
        self.norm = nn.LayerNorm(TOKEN, eps=EPSILON)
        self.pool = nn.Linear(TOKEN, WORDS)
        self.dense = Dense()

    def forward(self, embedded: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return features of tokens (B, T, 1280) and of texts (B, 512), the latter between -1 and 1.

        Args:
            embedded: Vectors of pieces (B, T, 512).
            mask: Where there is a piece (B, T).
        """
        real = mask.unsqueeze(-1).to(embedded.dtype)
        parts = self.projected_norm(self.project(embedded)).chunk(len(NGRAMS), dim=-1)
        branches = [branch(part, real) for branch, part in zip(self.branches, parts, strict=True)]
        tokens: Tensor = self.norm(torch.cat([embedded, *branches], dim=-1))
        # A sum over the root of the length, as released; the linear layer goes over texts and not over tokens.
        root = real.sum(dim=1).clamp(min=1).sqrt()
        text: Tensor = self.dense(self.pool(masked_mean(tokens, mask)) * root)
        return tokens, text


class Branch(nn.Module):
    """Two convolutions with residual connections."""

    def __init__(self, size: int, before: int) -> None:
        super().__init__()
        self.size, self.before = size, before
        # Linear layers on neighbours side by side: faster on a CPU than Conv1d, and what LoRA has a fast way for.
        self.first = nn.Linear(size * BRANCH, BRANCH)
        self.second = nn.Linear(size * BRANCH, BRANCH)

    def forward(self, states: Tensor, real: Tensor) -> Tensor:
        """Return features (B, T, 256) of such; ``real`` (B, T, 1) is 1 where there is a piece, else 0."""
        states = states + F.relu(self.first(self._neighbours(states * real)))
        return states + F.relu(self.second(self._neighbours(states * real)))

    def _neighbours(self, states: Tensor) -> Tensor:
        """Return each position's window side by side (B, T, size·256); zeros stand beyond the ends."""
        length = states.shape[1]
        padded = F.pad(states, (0, 0, self.before, self.size - 1 - self.before))
        return torch.cat([padded[:, start : start + length] for start in range(self.size)], dim=-1)


class Dense(nn.Module):
    """The dense layers over a text; each after the first two also sees what the one before the last gave."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(WORDS, 320, bias=False)
        self.second = nn.Linear(320, 320, bias=False)
        self.past_first = nn.Linear(WORDS, 320, bias=False)
        self.third = nn.Linear(320, WORDS, bias=False)
        self.fourth = nn.Linear(WORDS, WORDS, bias=False)
        self.past_third = nn.Linear(320, WORDS, bias=False)

    def forward(self, text: Tensor) -> Tensor:
        """Return vectors (B, 512) between -1 and 1 of vectors (B, 512)."""
        second = F.relu(self.second(F.relu(self.first(text))) + self.past_first(text))
        return torch.tanh(self.fourth(F.relu(self.third(second))) + self.past_third(second))
