"""Reads SentencePiece's unigram models (Kudo 2018), so that the tokenizers library does what SentencePiece does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

SPACE = "▁"
"""What stands for a space in pieces."""

UNREACHABLE = "\x01"
"""A character that the normalizer drops. Before the name of a mark it keeps ``</s>`` in a text from being the mark."""

# Field numbers of sentencepiece_model.proto: a model's pieces and normalizer, a piece's text, score and type, and the
# normalizer's table of replacements.
_PIECES, _NORMALIZER = 1, 3
_TEXT, _SCORE, _TYPE = 1, 2, 3
_CHARSMAP = 2
_TEXT_KEY, _SCORE_KEY = _TEXT << 3 | 2, _SCORE << 3 | 5  # with what follows: bytes after their length, and 32 bits
_MARKS = (b"\x02", b"\x03")  # types of pieces: unknown, control
_DIGITS, _LARGE = 9, 1e7  # decimals and numbers up to which all are done at once; others are done one by one


class UnigramModel(NamedTuple):
    """What a SentencePiece file holds.

    Attributes:
        pieces: Text and log probability of each piece; the id is its position, and id 0 the unknown piece.
        charsmap: The normalizer's table, as SentencePiece compiles it.
    """

    pieces: list[tuple[str, float]]
    charsmap: bytes


def read_unigram(data: bytes) -> UnigramModel:
    """Read a SentencePiece model file.

    Raises:
        ValueError: the bytes are no such file.
    """
    texts: list[str] = []
    scores: list[bytes] = []
    charsmap = b""
    try:
        for number, value in _fields(data):
            if number == _PIECES:
                text, score, kind = _piece(value)
                texts.append(UNREACHABLE + text.decode() if kind in _MARKS else text.decode())
                scores.append(score)
            elif number == _NORMALIZER:
                charsmap = dict(_fields(value)).get(_CHARSMAP, b"")
        numbers = np.frombuffer(b"".join(scores), dtype="<f4")
    except (IndexError, KeyError, ValueError) as error:
        raise ValueError("no SentencePiece model") from error
    if not texts or not charsmap or len(numbers) != len(texts):
        raise ValueError("no SentencePiece model")
    return UnigramModel(list(zip(texts, shortest(numbers), strict=True)), charsmap)


def shortest(numbers: NDArray[np.float32]) -> list[float]:
    """Return for each number (N,), float32, the decimal one with the fewest digits that is the same in 32 bits.

    Longer ones change a little when a tokenizer is written as JSON and read again.
    """
    exact = numbers.astype(np.float64)
    found = np.full(len(numbers), np.nan)
    usual = np.abs(exact) < _LARGE
    for digits in range(_DIGITS):
        rounded = np.round(exact * 10.0**digits) / 10.0**digits
        fits = usual & np.isnan(found) & (rounded.astype(np.float32) == numbers)
        found[fits] = rounded[fits]
    for index in np.flatnonzero(np.isnan(found)):
        found[index] = float(str(numbers[index]))
    return cast("list[float]", found.tolist())


def to_tokenizer(model: UnigramModel) -> Tokenizer:
    """Return a tokenizer of texts; special tokens are not added.

    White space is treated as SentencePiece does with ``remove_extra_whitespaces`` and ``add_dummy_prefix``.
    """
    tokenizer = Tokenizer(models.Unigram(model.pieces, unk_id=0))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Precompiled(model.charsmap), normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always", split=False)
    return tokenizer


def continuing(tokenizer: Tokenizer) -> Tokenizer:
    """Return a tokenizer with the same model for text that no space stands before."""
    other = Tokenizer(tokenizer.model)
    other.normalizer = tokenizer.normalizer
    other.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="never", split=False)
    return other


def joined_words(tokenizer: Tokenizer) -> Tokenizer | None:
    """Return a tokenizer of words that puts no space before them, or ``None`` if this is none of SentencePiece's kind.

    These tell the start of a word by the space before it. Before a Chinese character, where texts have none, it would
    be a token of its own nearly always, and the first one of the word. A word that has a space begins with one here.
    """
    if '"Metaspace"' not in json.dumps(json.loads(tokenizer.to_str())["pre_tokenizer"]):
        return None
    other: Tokenizer = Tokenizer.from_str(tokenizer.to_str())
    other.no_padding()
    other.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="never", split=True)
    spaced = other.encode([" a", " b"], is_pretokenized=True).ids
    return other if spaced == tokenizer.encode(["a", "b"], is_pretokenized=True).ids else None


def _piece(message: bytes) -> tuple[bytes, bytes, bytes | None]:
    """Return text, score (float32 in 4 bytes) and type of a piece."""
    size = message[1]
    # Nearly all are written so, and a model has 100,000 and more: a text of less than 128 bytes, a score, no type.
    if message[0] == _TEXT_KEY and len(message) == size + 7 and size < 128 and message[size + 2] == _SCORE_KEY:
        return message[2 : size + 2], message[size + 3 :], None
    fields = dict(_fields(message))
    return fields[_TEXT], fields.get(_SCORE, bytes(4)), fields.get(_TYPE)


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and content of each field of a message in protobuf's wire format; of integers the lowest 8 bits.

    Raises:
        IndexError: the message ends within a field, or is none.
    """
    position, end = 0, len(data)
    while position < end:
        key, position = _varint(data, position)
        kind = key & 7
        if kind == 0:
            value, position = _varint(data, position)
            yield key >> 3, bytes([value & 255])
            continue
        if kind == 2:
            size, position = _varint(data, position)
        else:
            size = {1: 8, 5: 4}[kind]
        if position + size > end:
            raise IndexError
        yield key >> 3, data[position : position + size]
        position += size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Return an integer of variable length and the position behind it."""
    if data[position] < 128:
        return data[position], position + 1
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return value, position
