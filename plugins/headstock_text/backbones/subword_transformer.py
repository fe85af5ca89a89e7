"""A small transformer encoder over subwords, from scratch (Vaswani et al. 2017)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from headstock import Backbone, Example, Features, HeadstockError, TrainingFacts, pad_stack, reason
from headstock.kits import passes
from headstock.kits.pooling import masked_mean
from headstock.kits.weights import load_weights, save_weights
from headstock_text.attention import AttentionConfig, Block, sinusoids
from headstock_text.backbones.cuts import note_cut, note_lost_words
from headstock_text.splitting import clean
from headstock_text.subwords import END, PADDING, UNKNOWN, Subwords


class SubwordTransformerConfig(AttentionConfig):
    """Options of the ``subword-transformer`` backbone."""

    vocabulary: int = Field(4000, ge=300, le=1_000_000, description="subwords at most, the 256 bytes among them")
    max_length: int = Field(128, ge=8, le=65_536, description="subwords kept of a text")


class SubwordTransformer(Backbone):
    """Subword vectors with sinusoidal positions under layers that normalise first.

    Attributes:
        subwords: The vocabulary, learnt from the training inputs.
    """

    Config = SubwordTransformerConfig
    config: SubwordTransformerConfig
    modality: ClassVar[str] = "text"
    cost_unit: ClassVar[str] = "tokens"

    def __init__(self, config: SubwordTransformerConfig, subwords: Subwords) -> None:
        super().__init__(config)
        self.subwords = subwords
        self.feature_dim = config.dim
        self.embedding = nn.Embedding(len(subwords), config.dim, padding_idx=PADDING)
        nn.init.normal_(self.embedding.weight, std=config.dim**-0.5)
        self.body = Encoder(config.dim, config.heads, config.layers, config.dropout)

    @classmethod
    def create(cls, config: SubwordTransformerConfig, inputs: Iterable[Mapping[str, Any]]) -> Self:
        """Learn the vocabulary from the training inputs and make new weights."""
        return cls(config, Subwords.learn(map(_text, inputs), config.vocabulary))

    @classmethod
    def load(cls, config: SubwordTransformerConfig, directory: Path) -> Self:
        """Make the backbone that :meth:`save` wrote.

        Raises:
            HeadstockError: a file is missing, damaged or of a network with other options.
        """
        try:
            subwords = Subwords.read((directory / "tokenizer.json").read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise HeadstockError(f"cannot load the backbone from {directory}: {reason(error)}") from error
        backbone = cls(config, subwords)
        load_weights(backbone, directory)
        return backbone

    def save(self, directory: Path) -> None:
        """Write ``tokenizer.json`` (as the tokenizers library lays it) and ``model.safetensors``."""
        (directory / "tokenizer.json").write_text(self.subwords.write(), "utf-8")
        save_weights(self, directory)

    @classmethod
    def trainer_defaults(cls, config: Any, facts: TrainingFacts) -> Mapping[str, Any]:
        """Return what suits training from scratch."""
        del config
        return {"learning_rate": 1e-3, **passes(facts, steps=1000, least=15, most=40)}

    def fingerprint(self) -> Mapping[str, Any]:
        """Return what the ids of subwords depend on."""
        return {"max_length": self.config.max_length, "vocabulary": self.subwords.digest()}

    def preprocess(self, inputs: Mapping[str, Any]) -> Example:
        """Return ``ids`` (T,), the last one the end mark, and for given words ``word_starts`` (W,)."""
        room = self.config.max_length - 1
        if "words" not in inputs:
            found = self.subwords.ids(_text(inputs))
            note_cut(len(found) > room, self.config.max_length)
            return {"ids": torch.tensor([*found[:room], END], dtype=torch.int32)}
        ids: list[int] = []
        starts = []
        for word in inputs["words"]:
            pieces = self.subwords.ids(clean(word)) or [UNKNOWN]
            if len(ids) + len(pieces) > room:
                break
            starts.append(len(ids))
            ids.extend(pieces)
        note_lost_words(len(inputs["words"]) - len(starts), self.config.max_length)
        return {
            "ids": torch.tensor([*ids, END], dtype=torch.int32),
            "word_starts": torch.tensor(starts, dtype=torch.int64),
        }

    def collate(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        """Pad at the right, ``word_starts`` with -1."""
        batch = {"ids": pad_stack([example["ids"] for example in examples], PADDING, sequence=True).long()}
        if "word_starts" in examples[0]:
            batch["word_starts"] = pad_stack([example["word_starts"] for example in examples], -1)
        return batch

    def cost(self, example: Example) -> int:
        """Return the number of subwords."""
        return len(example["ids"])

    def embed(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return the subwords' vectors (B, T, D), before positions."""
        embedded: Tensor = self.embedding(inputs["ids"]) * self.config.dim**0.5
        return embedded

    def encode(self, embedded: Tensor, inputs: dict[str, Tensor]) -> Features:
        """Return the last layer's states and their mean."""
        mask = inputs["ids"] != PADDING
        sequence = self.body(embedded, mask)
        return Features(sequence, mask, masked_mean(sequence, mask))


class Encoder(nn.Module):
    """Layers of self-attention."""

    def __init__(self, dim: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(dim, heads, dropout, crosses=False) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    def forward(self, embedded: Tensor, mask: Tensor) -> Tensor:
        """Return states (B, T, D) of vectors (B, T, D); ``mask`` (B, T) is true where there is a subword."""
        states = self.dropout(embedded + sinusoids(embedded.shape[1], embedded.shape[2], embedded))
        for block in self.blocks:
            states = block(states, mask[:, None, None, :])
        normed: Tensor = self.norm(states)
        return normed


def _text(inputs: Mapping[str, Any]) -> str:
    if "words" in inputs:
        return clean(" ".join(inputs["words"]))
    pair = inputs.get("text_pair")
    return clean(str(inputs["text"]) if pair is None else f"{inputs['text']}\n{pair}")
