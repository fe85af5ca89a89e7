"""Generates a text token by token: what a generator does, and beam search over a decoder from scratch."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from headstock import Features
from headstock_text.attention import Block, Memory, sinusoids
from headstock_text.subwords import END, PADDING, START


class Limits(NamedTuple):
    """How a text is searched for.

    Attributes:
        beams: Hypotheses that are kept; 1 is greedy.
        max_tokens: Tokens at most.
        per_source: Tokens at most for each token of the source, beside ten; not used by a backbone that generates.
    """

    beams: int
    max_tokens: int
    per_source: float


@runtime_checkable
class TextGenerator(Protocol):
    """Something that generates target tokens from encoded sources, in a vocabulary of its own.

    Attributes:
        max_target_tokens: Target tokens at most.
    """

    max_target_tokens: int

    def target_ids(self, text: str) -> list[int]:
        """Return the token ids of a target text, the end mark last."""

    def target_text(self, ids: list[int]) -> str:
        """Return the text of token ids; marks and padding are left out."""

    def teacher_forcing(self, targets: Tensor, features: Features) -> Tensor:
        """Return logits (B, L, V) of each next token, given the true ones before it; ``targets`` (B, L) has -100s."""

    def generate(self, features: Features, limits: Limits) -> Tensor:
        """Return the best token ids found, (B, L), padded."""


class Decoder(nn.Module):
    """A transformer decoder from scratch; the output layer shares its weights with the embeddings."""

    def __init__(self, vocabulary: int, source_dim: int, dim: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.dim = dim
        self.source = nn.Linear(source_dim, dim)
        self.embedding = nn.Embedding(vocabulary, dim, padding_idx=PADDING)
        nn.init.normal_(self.embedding.weight, std=dim**-0.5)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(dim, heads, dropout, crosses=True) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    def forward(self, targets: Tensor, features: Features) -> Tensor:
        """Return logits (B, L, V) of each token of ``targets`` (B, L), given those before it."""
        ids = targets.masked_fill(targets < 0, PADDING)
        before = torch.cat((torch.full_like(ids[:, :1], START), ids[:, :-1]), dim=1)
        size = before.shape[1]
        earlier = torch.ones(size, size, dtype=torch.bool, device=ids.device).tril()
        return self._logits(before, earlier, self.source(features.sequence), features.mask, None, 0)

    def _logits(
        self,
        ids: Tensor,
        mask: Tensor | None,
        source: Tensor,
        source_mask: Tensor,
        memories: list[Memory] | None,
        first: int,
    ) -> Tensor:
        embedded = self.embedding(ids) * self.dim**0.5
        states = self.dropout(embedded + sinusoids(ids.shape[1], self.dim, embedded, first))
        seen = source_mask[:, None, None, :]
        for index, block in enumerate(self.blocks):
            states = block(states, mask, source, seen, None if memories is None else memories[index])
        logits: Tensor = self.norm(states) @ self.embedding.weight.T
        return logits

    @torch.no_grad()
    def search(self, features: Features, limits: Limits) -> Tensor:
        """Return the best hypotheses (B, L) by mean log-probability of their tokens, padded behind the end mark.

        Every example is searched by itself: how many tokens it may have depends on its own source.
        """
        size, beams = len(features.sequence), limits.beams
        lengths = features.mask.sum(dim=1)
        room = (10 + lengths * limits.per_source).long().clamp(max=limits.max_tokens)
        source = self.source(features.sequence).repeat_interleave(beams, dim=0)
        source_mask = features.mask.repeat_interleave(beams, dim=0)
        memories: list[Memory] = [{} for _ in self.blocks]
        device = source.device
        ids = torch.full((size * beams, 1), START, device=device)
        scores = torch.full((size, beams), float("-inf"), device=device)
        scores[:, 0] = 0.0
        best = torch.full((size,), float("-inf"), device=device)
        found = torch.full((size, int(room.max()) + 1), PADDING, device=device)
        for step in range(int(room.max())):
            logits = self._logits(ids[:, -1:], None, source, source_mask, memories, step)[:, -1]
            log_probs = logits.float().log_softmax(dim=1).view(size, beams, -1)
            log_probs[:, :, PADDING] = log_probs[:, :, START] = float("-inf")
            last = (step + 1 >= room).unsqueeze(1)
            ended = (scores + log_probs[:, :, END]) / (step + 1)
            best, found = _keep_best(best, found, ended, ids, beams, step)
            log_probs[:, :, END] = float("-inf")
            total = (scores.unsqueeze(2) + log_probs).flatten(1)
            scores, positions = total.topk(beams, dim=1)
            origins, tokens = positions // log_probs.shape[2], positions % log_probs.shape[2]
            rows = (origins + torch.arange(size, device=device).unsqueeze(1) * beams).flatten()
            ids = torch.cat((ids[rows], tokens.flatten().unsqueeze(1)), dim=1)
            for memory in memories:  # the source is the same for all hypotheses of an example
                memory["key"], memory["value"] = memory["key"][rows], memory["value"][rows]
            # At best all further tokens are certain, and the sum is divided by as many tokens as there is room for.
            done = last | (scores[:, :1] / room.unsqueeze(1) <= best.unsqueeze(1))
            scores = scores.masked_fill(done, float("-inf"))
            if not bool(torch.isfinite(scores).any()):
                break
        return found


def _keep_best(best: Tensor, found: Tensor, ended: Tensor, ids: Tensor, beams: int, step: int) -> tuple[Tensor, Tensor]:
    """Take an ended hypothesis where it is better than the best so far."""
    score, beam = ended.max(dim=1)
    rows = beam + torch.arange(len(best), device=best.device) * beams
    tokens = torch.full_like(found, PADDING)
    tokens[:, :step] = ids[rows, 1:]
    tokens[:, step] = END
    better = score > best
    return torch.where(better, score, best), torch.where(better.unsqueeze(1), tokens, found)
