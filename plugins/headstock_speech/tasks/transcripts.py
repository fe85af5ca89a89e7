"""Transcripts as a recognizer learns them: normalised text and the alphabet it is spelt with."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Literal

from headstock import DataError, NoTargetError

BLANK = 0
"""Number that stands for no character; CTC puts it between and around characters."""

SHOWN_CHARACTERS = 60

APOSTROPHES = "'’ʼ"


Case = Literal["keep", "lower", "upper"]
"""What becomes of letters."""


def composed(text: str) -> str:
    """Return a transcript with composed characters (Unicode NFC), one space between words and none around."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def spelt(text: str, case: Case, remove_punctuation: bool) -> str:
    """Return a composed transcript as a recognizer learns to write it.

    Args:
        text: The transcript as written.
        case: What becomes of letters.
        remove_punctuation: Drop punctuation and symbols. Apostrophes stay, as ``'``; dashes and slashes part words.
    """
    if remove_punctuation:
        text = "".join(_spoken(character) for character in text)
    if case != "keep":
        text = text.lower() if case == "lower" else text.upper()
    return composed(text)


def _spoken(character: str) -> str:
    if character in APOSTROPHES:
        return "'"
    category = unicodedata.category(character)
    if category == "Pd" or character == "/":
        return " "
    return "" if category[0] in "PS" else character


def shortened(transcript: str) -> str:
    """Return the beginning of a transcript, for messages."""
    return transcript if len(transcript) <= SHOWN_CHARACTERS else transcript[:SHOWN_CHARACTERS] + "…"


class Alphabet:
    """Characters and their ids, from 1; :data:`BLANK` is 0."""

    def __init__(self, characters: Iterable[str]) -> None:
        self.characters = tuple(characters)
        self._ids = {character: index for index, character in enumerate(self.characters, start=BLANK + 1)}

    @classmethod
    def learn(cls, transcripts: Iterable[str]) -> Alphabet:
        """Make the alphabet of all characters seen, in sorted order.

        Raises:
            DataError: there is none.
        """
        characters = sorted(set().union(*transcripts))
        if not characters:
            raise DataError("the training data has no transcripts to learn an alphabet from")
        return cls(characters)

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, transcript: str) -> list[int]:
        """Return the id of each character.

        Raises:
            NoTargetError: a character that no training transcript has.
        """
        unknown = next((character for character in transcript if character not in self._ids), None)
        if unknown is not None:
            raise NoTargetError(
                f"character '{unknown}' (U+{ord(unknown):04X}) of '{shortened(transcript)}' is in no training "
                "transcript; task.remove_punctuation drops punctuation and symbols, "
                "task.case unites upper and lower case",
                "transcripts with a letter that training data has not, scored as wrong",
            )
        return [self._ids[character] for character in transcript]

    def decode(self, ids: Sequence[int]) -> str:
        """Return what a best path of character ids says: repetitions count once, blanks not at all."""
        pairs = pairwise([BLANK, *ids])
        kept = [current for previous, current in pairs if current not in (BLANK, previous)]
        return " ".join("".join(self.characters[index - 1] for index in kept).split())
