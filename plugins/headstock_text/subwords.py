"""Subword vocabularies learnt from text, through the tokenizers library."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Self

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from headstock import json_digest

PADDING, UNKNOWN, START, END = 0, 1, 2, 3
"""Numbers that are no piece of text."""

SPECIAL = ["<pad>", "<unk>", "<s>", "</s>"]


class Subwords:
    """Byte-pair encoding over bytes (Sennrich et al. 2016): any text has pieces, and pieces give the text back."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        # "</s>" in a text is four characters, and no end mark.
        self._tokenizer.encode_special_tokens = True

    @classmethod
    def learn(cls, texts: Iterable[str], size: int) -> Self:
        """Learn a vocabulary of ``size`` pieces at most; the 256 bytes always belong to it."""
        tokenizer = Tokenizer(models.BPE(unk_token=SPECIAL[UNKNOWN]))
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=size,
            min_frequency=2,
            special_tokens=SPECIAL,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        return cls(tokenizer)

    @classmethod
    def read(cls, text: str) -> Self:
        """Make the vocabulary of what :meth:`write` returned."""
        return cls(Tokenizer.from_str(text))

    def write(self) -> str:
        """Return the vocabulary as JSON text."""
        return self._tokenizer.to_str()

    def digest(self) -> str:
        """Return a digest of the whole vocabulary."""
        return json_digest(self.write())

    def __len__(self) -> int:
        return self._tokenizer.get_vocab_size()

    def ids(self, text: str) -> list[int]:
        """Return the ids of a text's pieces."""
        return list(self._tokenizer.encode(text).ids)

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of ids; special ones are left out."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=True).strip()
