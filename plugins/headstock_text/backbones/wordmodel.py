"""What the from-scratch backbones share: vocabulary, token embeddings, padding, saving."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from headstock import Backbone, Config, Example, Features, HeadstockError, TrainingFacts, pad_stack, reason
from headstock.kits import passes
from headstock.kits.pooling import masked_max
from headstock.kits.weights import load_weights, save_weights
from headstock_text.backbones.cuts import note_cut, note_lost_words
from headstock_text.backbones.embedding import TokenEmbedding
from headstock_text.backbones.vocabulary import PADDING, SEPARATOR, Vocabulary, normalise

MAX_WORD_LENGTH = 20
"""How many characters of a word are looked at."""


class WordModelConfig(Config):
    """Options of every from-scratch text backbone."""

    unit: Literal["auto", "word", "char", "jieba"] = Field(
        "auto",
        description="what a token is; auto takes characters if most training text is Chinese or Japanese, else words; "
        "jieba: words, Chinese ones as jieba finds them (needs headstock[chinese])",
    )
    max_vocabulary: int = Field(
        30_000, ge=2, le=10_000_000, description="most frequent tokens of the training text that are kept"
    )
    min_count: int = Field(
        2, ge=1, le=1_000_000, description="how often the training text must have a token for it to be kept"
    )
    lower_case: bool = Field(True, description="take upper and lower case of a token as one")
    max_length: int = Field(256, ge=8, le=1_000_000, description="tokens kept of an example")
    embedding_dim: int = Field(128, ge=1, le=4096, description="size of a token's vector")
    character_dim: int = Field(
        32, ge=0, le=4096, description="size of the vector made of a word's characters (0: none; not for unit char)"
    )
    word_dropout: float = Field(
        0.05, ge=0, lt=1, description="fraction of training tokens replaced by the unknown token, so that it is learnt"
    )
    dropout: float = Field(0.3, ge=0, lt=1, description="dropout on the embeddings and inside the network")


class WordModel(Backbone):
    """Token embeddings under a small network; its vocabulary comes from the training text.

    A batch has ``ids`` (B, T), ``mask`` (B, T), for words ``characters`` (B, T, C), and ``word_starts`` (B, W) for
    examples given as words.

    Attributes:
        vocabulary: Which tokens have a number.
        embedding: Module that makes the embedded input.
        body: Module called with the embedded input (B, T, E) and the mask; returns (B, T, D).
    """

    modality: ClassVar[str] = "text"
    cost_unit: ClassVar[str] = "tokens"

    def __init__(self, config: Any, vocabulary: Vocabulary) -> None:
        super().__init__(config)
        self.vocabulary = vocabulary
        self.embedding = TokenEmbedding(
            len(vocabulary.pieces),
            config.embedding_dim,
            len(vocabulary.characters),
            0 if vocabulary.unit == "char" else config.character_dim,
            config.word_dropout,
        )
        self.body, self.feature_dim = self.build_body(config, self.embedding.size)

    @staticmethod
    @abstractmethod
    def build_body(config: Any, size: int) -> tuple[nn.Module, int]:
        """Return the network over embeddings of ``size`` and the size of its features."""

    @classmethod
    def create(cls, config: Any, inputs: Iterable[Mapping[str, Any]]) -> Self:
        """Learn the vocabulary from the training inputs and make new weights.

        Raises:
            DataError: the inputs hold no text.
        """
        vocabulary = Vocabulary.learn(inputs, config.unit, config.max_vocabulary, config.min_count, config.lower_case)
        return cls(config, vocabulary)

    @classmethod
    def load(cls, config: Any, directory: Path) -> Self:
        """Make the backbone that :meth:`save` wrote.

        Raises:
            HeadstockError: a file is missing, damaged or of a network with other options.
        """
        try:
            vocabulary = Vocabulary.load(directory / "vocabulary.json")
        except (OSError, ValueError, KeyError) as error:
            raise HeadstockError(f"cannot load the backbone from {directory}: {reason(error)}") from error
        backbone = cls(config, vocabulary)
        load_weights(backbone, directory)
        return backbone

    def save(self, directory: Path) -> None:
        """Write ``vocabulary.json`` and ``model.safetensors``."""
        self.vocabulary.save(directory / "vocabulary.json")
        save_weights(self, directory)

    @classmethod
    def trainer_defaults(cls, config: Any, facts: TrainingFacts) -> Mapping[str, Any]:
        """Return what suits the training of a small network from nothing."""
        del config
        return {"learning_rate": 2e-3, **passes(facts, steps=500, least=10, most=30)}

    # Inputs

    def fingerprint(self) -> Mapping[str, Any]:
        """Return what the ids of tokens depend on."""
        return {
            "max_length": self.config.max_length,
            "lower_case": self.config.lower_case,
            "characters": self.embedding.reads_characters,
            "vocabulary": self.vocabulary.digest(),
            "segmenter": self.vocabulary.segmenter,
        }

    def preprocess(self, inputs: Mapping[str, Any]) -> Example:
        """Return ``ids`` (T,), for words ``characters`` (T, C), and for given words ``word_starts`` (W,)."""
        starts = None
        if "words" in inputs:
            pieces, starts = self._of_words(inputs["words"])
            note_lost_words(len(inputs["words"]) - len(starts), self.config.max_length)
        else:
            pieces = self._of_texts(inputs["text"], inputs.get("text_pair"))
        # A text without any token still is an example: one unknown token.
        pieces = pieces or [""]
        example = {"ids": torch.tensor([self._id(piece) for piece in pieces], dtype=torch.int32)}
        if self.embedding.reads_characters:
            example["characters"] = self._characters(pieces)
        if starts is not None:
            example["word_starts"] = torch.tensor(starts, dtype=torch.int64)
        return example

    def _of_words(self, words: Sequence[str]) -> tuple[list[str | None], list[int]]:
        """Return the pieces of given words and the position of each word's first piece."""
        pieces: list[str | None] = []
        starts = []
        for word in words:
            if len(pieces) >= self.config.max_length:
                break
            starts.append(len(pieces))
            # A word without characters still has a position.
            pieces.extend((list(word) or [""]) if self.vocabulary.unit == "char" else [word])
        return pieces[: self.config.max_length], starts

    def _of_texts(self, text: str, pair: str | None) -> list[str | None]:
        """Return the pieces of a text, or of two with None between them; of two, the longer one is cut first."""
        most = self.config.max_length
        first = self.vocabulary.split(text)
        if pair is None:
            note_cut(len(first) > most, most)
            return [*first[:most]]
        second = self.vocabulary.split(pair)
        room = most - 1
        note_cut(len(first) + len(second) > room, most)
        kept = min(len(first), max(room - room // 2, room - len(second)))
        return [*first[:kept], None, *second[: room - kept]]

    def _id(self, piece: str | None) -> int:
        return SEPARATOR if piece is None else self.vocabulary.id_of(normalise(piece, self.config.lower_case))

    def _characters(self, pieces: Sequence[str | None]) -> Tensor:
        words = [(piece or "")[:MAX_WORD_LENGTH] for piece in pieces]
        table = np.full((len(words), max(1, *map(len, words))), PADDING, dtype=np.int16)
        for row, word in zip(table, words, strict=True):
            row[: len(word)] = [self.vocabulary.character_id(each) for each in word]
        return torch.from_numpy(table)

    def collate(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        """Pad at the right with zeros, and ``word_starts`` with -1."""
        batch = collate_tokens(examples)
        if "characters" in examples[0]:
            batch["characters"] = pad_stack([example["characters"] for example in examples], 0, sequence=True).long()
        return batch

    def cost(self, example: Example) -> int:
        """Return the number of tokens."""
        return len(example["ids"])

    # Model

    def embed(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return the token embeddings (B, T, E)."""
        embedded: Tensor = self.embedding(inputs["ids"], inputs.get("characters"))
        return embedded

    def encode(self, embedded: Tensor, inputs: dict[str, Tensor]) -> Features:
        """Return the network's features and their maximum over the tokens."""
        mask = inputs["mask"]
        sequence = self.body(embedded * mask.unsqueeze(-1), mask) * mask.unsqueeze(-1)
        return Features(sequence, mask, masked_max(sequence, mask))


def collate_tokens(examples: Sequence[Example]) -> dict[str, Tensor]:
    """Return ``ids`` and ``mask`` (B, T), padded at the right with zeros, and ``word_starts`` (B, W) with -1."""
    ids = [example["ids"] for example in examples]
    batch = {
        "ids": pad_stack(ids, 0, sequence=True).long(),
        "mask": pad_stack([torch.ones_like(each, dtype=torch.bool) for each in ids], 0, sequence=True),
    }
    if "word_starts" in examples[0]:
        batch["word_starts"] = pad_stack([example["word_starts"] for example in examples], -1)
    return batch
