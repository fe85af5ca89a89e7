"""The multilingual Universal Sentence Encoder: pretrained on 16 languages, and installed without a download of its own.

Arabic, Chinese (both scripts), Dutch, English, French, German, Italian, Japanese, Korean, Polish, Portuguese, Russian,
Spanish, Thai, Turkish.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from headstock import (
    Backbone,
    Config,
    Example,
    Features,
    HeadstockError,
    Provenance,
    TrainingFacts,
    json_digest,
    reason,
)
from headstock.kits import passes
from headstock.kits.pooling import masked_mean
from headstock.kits.weights import load_exactly, load_weights, save_weights
from headstock_text.backbones.cuts import note_cut, note_lost_words
from headstock_text.backbones.use.files import PARTS, PROVENANCE, WEIGHTS, Vectors, released, released_tokenizer
from headstock_text.backbones.use.network import TOKEN, WORDS, Encoder
from headstock_text.backbones.wordmodel import collate_tokens
from headstock_text.sentencepiece import SPACE, continuing
from headstock_text.splitting import clean, count_cjk

UNKNOWN, START, END = 0, 1, 2
"""Ids of what is no piece of text."""
VECTORS_FILE = "vectors.safetensors"
TOKENIZER_FILE = "tokenizer.json"
CHUNK = 1000
"""Inputs of which the pieces are looked up at once."""


class UseMultilingualConfig(Config):
    """Options of the ``use-multilingual`` backbone."""

    max_length: int = Field(256, ge=8, le=65_536, description="tokens kept of an example")
    pieces: int = Field(
        128_000,
        ge=1000,
        le=128_000,
        description="most frequent pieces kept; with fewer a run takes less disk (500 bytes each), and rare words are "
        "made of more pieces",
    )
    train_vectors: bool = Field(
        True, description="also train the vectors of the pieces that the training text has; false: only the network"
    )


class UseMultilingual(Backbone):
    """The Universal Sentence Encoder's pieces, n-gram convolutions and dense layers, all of which can be trained.

    A token's features are its vector, what each of three n-gram branches makes of its neighbours, and the vector of
    the whole text; ``pooled`` is their mean. The last 512 features are the text's alone: the released sentence vector,
    of length √512 in place of 1 so that heads see it on the scale of the rest.

    The vectors of 128,000 pieces stay as they were released, in 8 bits. What training adds to them is a table for the
    pieces of the training text alone: no other would ever get a gradient.

    Attributes:
        tokenizer: Tokenizer of texts, without special tokens.
        seen: Ids of the pieces whose vectors are trained, ascending.
    """

    Config = UseMultilingualConfig
    config: UseMultilingualConfig
    modality: ClassVar[str] = "text"
    cost_unit: ClassVar[str] = "tokens"
    feature_dim = TOKEN + WORDS
    provenance: Provenance | None = PROVENANCE

    def __init__(self, config: UseMultilingualConfig, vectors: Vectors, tokenizer: Tokenizer, seen: Tensor) -> None:
        super().__init__(config)
        self.tokenizer, self._continuing = tokenizer, continuing(tokenizer)
        self.body = Encoder()
        # Not in the state: checkpoints would hold 65 MB that never change.
        self.table: Tensor
        self.scale: Tensor
        self.low: Tensor
        self.seen: Tensor
        self.rows: Tensor
        for name, value in vectors._asdict().items():
            self.register_buffer(name, value, persistent=False)
        self.register_buffer("seen", seen, persistent=False)
        rows = torch.zeros(len(vectors.table), dtype=torch.int32)
        rows[seen] = torch.arange(1, len(seen) + 1, dtype=torch.int32)
        self.register_buffer("rows", rows, persistent=False)
        if config.train_vectors:
            self.change = nn.Embedding(len(seen) + 1, WORDS, padding_idx=0)
            nn.init.zeros_(self.change.weight)

    @classmethod
    def unavailable(cls) -> str | None:
        """Say that the package with the weights is not installed, where it is not."""
        return WEIGHTS.missing()

    @classmethod
    def create(cls, config: UseMultilingualConfig, inputs: Iterable[Mapping[str, Any]]) -> Self:
        """Take the released weights; from ``inputs`` only which pieces there are is learnt.

        Raises:
            HeadstockError: the package that holds the weights is not installed, another version or changed.
        """
        vectors, network, _ = released()
        vectors = vectors._replace(table=vectors.table[: config.pieces])
        tokenizer = released_tokenizer(config.pieces)
        ids = _ids_of(inputs, tokenizer) if config.train_vectors else {UNKNOWN}
        backbone = cls(config, vectors, tokenizer, torch.tensor(sorted(ids)))
        load_exactly(backbone.body, network, PROVENANCE.source)
        return backbone

    @classmethod
    def load(cls, config: UseMultilingualConfig, directory: Path) -> Self:
        """Make the backbone that :meth:`save` wrote; the package with the released weights is not needed.

        Raises:
            HeadstockError: a file is missing, damaged or of another network.
        """
        try:
            tensors = load_file(directory / VECTORS_FILE)
            vectors = Vectors(*(tensors[name] for name in Vectors._fields))
            tokenizer = Tokenizer.from_str((directory / TOKENIZER_FILE).read_text("utf-8"))
            backbone = cls(config, vectors, tokenizer, tensors["seen"])
        except (OSError, SafetensorError, KeyError) as error:
            raise HeadstockError(f"cannot load the backbone from {directory}: {reason(error)}") from error
        except Exception as error:  # tokenizers raises plain ones
            raise HeadstockError(f"cannot read {directory / TOKENIZER_FILE}: {reason(error)}") from error
        load_weights(backbone, directory)
        return backbone

    def save(self, directory: Path) -> None:
        """Write ``model.safetensors``, ``vectors.safetensors`` (65 MB with all pieces) and ``tokenizer.json``."""
        (directory / TOKENIZER_FILE).write_text(self.tokenizer.to_str(), "utf-8")
        fixed = {name: getattr(self, name).cpu().contiguous() for name in (*Vectors._fields, "seen")}
        save_file(fixed, directory / VECTORS_FILE)
        save_weights(self, directory)

    @classmethod
    def trainer_defaults(cls, config: Any, facts: TrainingFacts) -> Mapping[str, Any]:
        """Return what suits the tuning of a shallow pretrained network; measured, see ``benchmarks/defaults``.

        What a word is takes larger and more steps than what a whole text is about.
        """
        del config
        if facts.task == "token-classification":
            return {"learning_rate": 1e-3, **passes(facts, steps=2000, batch_size=8, least=6, most=30)}
        return {"learning_rate": 3e-4, **passes(facts, steps=600, least=10, most=20)}

    # Inputs

    def fingerprint(self) -> Mapping[str, Any]:
        """Return what the ids of pieces depend on."""
        return {"max_length": self.config.max_length, "tokenizer": json_digest(self.tokenizer.to_str())}

    def preprocess(self, inputs: Mapping[str, Any]) -> Example:
        """Return ``ids`` (T,), between marks of start and end, and for given words ``word_starts`` (W,)."""
        return self.preprocess_many([inputs])[0]

    def preprocess_many(self, inputs: Sequence[Mapping[str, Any]]) -> list[Example]:
        """Return what :meth:`preprocess` returns for each; texts are tokenized together, on all cores."""
        if any("words" in each for each in inputs):
            return [self._of_words(each["words"], index) for index, each in enumerate(inputs)]
        texts = [clean(str(text)) for each in inputs for text in _texts(each)]
        ids = iter([encoding.ids for encoding in self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)])
        return [self._of_texts([next(ids) for _ in _texts(each)], index) for index, each in enumerate(inputs)]

    def _of_texts(self, texts: list[list[int]], index: int) -> Example:
        room = self.config.max_length - 1 - len(texts)
        note_cut(sum(map(len, texts)) > room, self.config.max_length, example=index)
        if len(texts) == 2:
            first, second = texts
            kept = min(len(first), max(room - room // 2, room - len(second)))
            texts = [first[:kept], second[: room - kept]]
        return _example([START, *(each for text in texts for each in (*text[:room], END))])

    def _of_words(self, words: Sequence[str], index: int) -> Example:
        # Every word is at least one token, so no more words than this can be kept.
        kept = [clean(word) for word in words[: self.config.max_length]]
        ids = [START]
        starts: list[int] = []
        for pieces, bare in self._pieces_of(kept):
            if len(ids) + len(pieces) >= self.config.max_length:
                break
            starts.append(len(ids) + bare)
            ids.extend(pieces)
        note_lost_words(len(words) - len(starts), self.config.max_length)
        return {**_example([*ids, END]), "word_starts": torch.tensor(starts, dtype=torch.int64)}

    def _pieces_of(self, words: list[str]) -> Iterator[tuple[list[int], int]]:
        """Yield the ids of each word, and how many of them stand before its first letter: a lone space."""
        space = self.tokenizer.token_to_id(SPACE)
        for tokenizer, word in zip(map(self._tokenizer_for, words), words, strict=True):
            ids = tokenizer.encode(word, add_special_tokens=False).ids or [UNKNOWN]
            yield ids, int(len(ids) > 1 and ids[0] == space)

    def _tokenizer_for(self, word: str) -> Tokenizer:
        """Return the tokenizer of a word: no space stands before Chinese and Japanese ones."""
        return self._continuing if count_cjk(word[:1]) else self.tokenizer

    def collate(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        """Return ``ids`` and ``mask`` (B, T), padded at the right, and ``word_starts`` (B, W), padded with -1."""
        return collate_tokens(examples)  # zero is UNKNOWN, which the mask takes out

    def cost(self, example: Example) -> int:
        """Return the number of tokens."""
        return len(example["ids"])

    # Model

    def embed(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return the pieces' vectors (B, T, 512)."""
        ids = inputs["ids"]
        part = ids % PARTS
        embedded = self.table[ids].to(self.scale.dtype) * self.scale[part] + self.low[part]
        return embedded + self.change(self.rows[ids]) if self.config.train_vectors else embedded

    def encode(self, embedded: Tensor, inputs: dict[str, Tensor]) -> Features:
        """Return 1,280 features of a token and 512 of its text, and the means of both over the tokens."""
        mask = inputs["mask"]
        tokens, text = self.body(embedded, mask)
        text = F.normalize(text, dim=-1) * WORDS**0.5
        sequence = torch.cat([tokens, text.unsqueeze(1).expand(-1, tokens.shape[1], -1)], dim=-1)
        return Features(sequence, mask, torch.cat([masked_mean(tokens, mask), text], dim=-1))


def _texts(inputs: Mapping[str, Any]) -> list[Any]:
    pair = inputs.get("text_pair")
    return [inputs["text"]] if pair is None else [inputs["text"], pair]


def _example(ids: list[int]) -> Example:
    return {"ids": torch.tensor(ids, dtype=torch.int32)}


def _ids_of(inputs: Iterable[Mapping[str, Any]], tokenizer: Tokenizer) -> set[int]:
    """Return the ids of all pieces of texts and words, and those that every example has."""
    found = {UNKNOWN, START, END}
    texts: list[str] = []

    def look_up() -> None:
        for each in (tokenizer, continuing(tokenizer)):
            for encoding in each.encode_batch_fast(texts, add_special_tokens=False):
                found.update(encoding.ids)
        texts.clear()

    for each in inputs:
        texts.extend(clean(str(text)) for text in (each["words"] if "words" in each else _texts(each)))
        if len(texts) >= CHUNK:
            look_up()
    look_up()
    return found
