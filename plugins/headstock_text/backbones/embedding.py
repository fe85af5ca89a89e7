"""Token embeddings: a vector of the token itself beside one made of its characters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from headstock.kits.pooling import masked_max
from headstock_text.backbones.vocabulary import PADDING, RESERVED, SEPARATOR, UNKNOWN

CHARACTER_SIZE = 24
"""Size of one character's vector."""

SPREAD = 0.1
"""Standard deviation of new embeddings."""


class TokenEmbedding(nn.Module):
    """Looks tokens up and reads their characters by a convolution and a maximum (Ma & Hovy 2016).

    The characters tell a name, a number or an ending also of words that the vocabulary has not.

    Attributes:
        size: Size of an embedded token.
        reads_characters: Whether :meth:`forward` needs characters.
    """

    def __init__(
        self, tokens: int, token_size: int, characters: int, characters_size: int, word_dropout: float
    ) -> None:
        super().__init__()
        self.size = token_size + characters_size
        self.reads_characters = characters_size > 0
        self.word_dropout = word_dropout
        self.tokens = _table(tokens, token_size)
        if self.reads_characters:
            self.characters = _table(characters, CHARACTER_SIZE)
            self.convolution = nn.Conv1d(CHARACTER_SIZE, characters_size, kernel_size=3, padding=1)

    def forward(self, ids: Tensor, characters: Tensor | None) -> Tensor:
        """Return vectors (B, T, E) of token ids (B, T) and, if they are read, character ids (B, T, C)."""
        if self.training and self.word_dropout > 0:
            hidden = torch.rand(ids.shape, device=ids.device) < self.word_dropout
            ids = ids.masked_fill(hidden & (ids > SEPARATOR), UNKNOWN)
        embedded: Tensor = self.tokens(ids)
        if characters is None or not self.reads_characters:
            return embedded
        return torch.cat((embedded, self._read(characters)), dim=-1)

    def _read(self, characters: Tensor) -> Tensor:
        batch, length, _ = characters.shape
        ids = characters.flatten(0, 1)
        # The vector of padding is zero, as is what the convolution adds at the borders: its amount makes no difference.
        found = self.convolution(self.characters(ids).transpose(1, 2)).transpose(1, 2)
        return masked_max(found, ids != PADDING).view(batch, length, -1)


def _table(count: int, size: int) -> nn.Embedding:
    table = nn.Embedding(RESERVED + count, size, padding_idx=PADDING)
    with torch.no_grad():
        table.weight.normal_(std=SPREAD)
        table.weight[PADDING].zero_()
    return table
