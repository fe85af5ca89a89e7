"""The vocabulary of the from-scratch backbones: which pieces of text have an id, learnt from training text."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from headstock import DataError, json_digest
from headstock_text.segmenting import require_jieba, segmented_words
from headstock_text.splitting import count_cjk, split_words

PADDING, UNKNOWN, SEPARATOR = 0, 1, 2
"""Numbers that are no piece of text: padding, any piece not in the vocabulary, and the border between two texts."""

RESERVED = 3
"""The number of the first piece."""

MAX_CHARACTERS = 2000
"""How many characters of words are told apart."""

Unit = Literal["word", "char", "jieba"]
"""What a piece is: a word, of which Chinese characters are one each; a character; a word, Chinese ones whole."""


class Vocabulary:
    """Pieces of text by number.

    Attributes:
        unit: What a piece is.
        segmenter: Version of what finds Chinese words, where such are pieces.
        pieces: The pieces, most frequent first; the first has the number :data:`RESERVED`.
        characters: The characters of words, likewise; empty when a piece is a character.
    """

    def __init__(self, unit: Unit, pieces: Sequence[str], characters: Sequence[str]) -> None:
        self.unit: Unit = unit
        self.segmenter = require_jieba() if unit == "jieba" else ""
        self.pieces = tuple(pieces)
        self.characters = tuple(characters)
        self._pieces = {piece: index for index, piece in enumerate(self.pieces, RESERVED)}
        self._characters = {character: index for index, character in enumerate(self.characters, RESERVED)}

    @classmethod
    def learn(
        cls,
        inputs: Iterable[Mapping[str, Any]],
        unit: Unit | Literal["auto"],
        max_size: int,
        min_count: int,
        lower_case: bool,
    ) -> Self:
        """Count the pieces of raw inputs and keep the most frequent ones (ties in alphabetical order).

        Args:
            inputs: Raw inputs of the modality ``text``.
            unit: ``auto`` takes characters if most of the text is Chinese or Japanese, else words.
            max_size: How many pieces to keep.
            min_count: How often a piece must occur to be kept.
            lower_case: Whether upper and lower case are one.

        Raises:
            DataError: there is no text.
            HeadstockError: the unit is jieba, which is not installed.
        """
        if unit == "jieba":
            require_jieba()
        words: Counter[str] = Counter()
        for each in inputs:
            words.update(_words(each, unit))
        if not words:
            raise DataError("there is no training text to learn a vocabulary from")
        characters: Counter[str] = Counter()
        for word, count in words.items():
            for character in word:
                characters[character] += count
        if unit == "auto":
            cjk = sum(count for character, count in characters.items() if count_cjk(character))
            unit = "char" if 2 * cjk > characters.total() else "word"
        if unit == "char":
            kept = _frequent(_merged(characters, lower_case), max_size - 1, min_count)
            return cls(unit, (" ", *(piece for piece in kept if piece != " ")), ())
        pieces = _frequent(_merged(words, lower_case), max_size, min_count)
        return cls(unit, pieces, _frequent(characters, MAX_CHARACTERS, min_count))

    def split(self, text: str) -> list[str]:
        """Return the pieces of a text, in order, as they stand in it; white space is one blank or none."""
        return list(" ".join(text.split())) if self.unit == "char" else _split(text, self.unit)

    def id_of(self, piece: str) -> int:
        """Return the id of a normalised piece."""
        return self._pieces.get(piece, UNKNOWN)

    def character_id(self, character: str) -> int:
        """Return the id of a character of a word."""
        return self._characters.get(character, UNKNOWN)

    def digest(self) -> str:
        """Return a hexadecimal digest of everything in the vocabulary."""
        return json_digest(self._json())

    def save(self, path: Path) -> None:
        """Write the vocabulary as JSON."""
        path.write_text(self._json(), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote."""
        state = json.loads(path.read_text(encoding="utf-8"))
        return cls(state["unit"], state["pieces"], state["characters"])

    def _json(self) -> str:
        state = {"unit": self.unit, "pieces": self.pieces, "characters": self.characters}
        return json.dumps(state, indent=0)


def normalise(piece: str, lower_case: bool) -> str:
    """Return the form under which a piece is looked up; compatibility forms, such as full-width letters, are one."""
    if not piece.isascii():
        piece = unicodedata.normalize("NFKC", piece)
    return piece.lower() if lower_case else piece


def _words(inputs: Mapping[str, Any], unit: str) -> Sequence[str]:
    if "words" in inputs:
        return list(inputs["words"])
    return [word for text in (inputs["text"], inputs.get("text_pair") or "") for word in _split(text, unit)]


def _split(text: str, unit: str) -> list[str]:
    return segmented_words(text) if unit == "jieba" else [span.word for span in split_words(text)]


def _merged(counts: Counter[str], lower_case: bool) -> Counter[str]:
    merged: Counter[str] = Counter()
    for piece, count in counts.items():
        merged[normalise(piece, lower_case)] += count
    return merged


def _frequent(counts: Counter[str], size: int, least: int) -> tuple[str, ...]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(piece for piece, count in ordered[:size] if count >= least and piece)
