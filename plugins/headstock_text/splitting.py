"""Splits text into words in any script, with the position of each word."""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from typing import NamedTuple

CJK = "\u3005\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9d\U00020000-\U0003ffff"
"""Chinese characters and kana, as the inside of a character class. Korean is written with spaces and is not here."""

_CJK = re.compile(f"[{CJK}]")
_JOINERS = "\u200c\u200d"

MARKED = (range(0x300, 0x20000), range(0xE0000, 0xE1000))
"""The code points among which Unicode has combining marks: looking at all the others would take half a second."""


class Span(NamedTuple):
    """A piece of a text: ``text[start:end] == word``."""

    word: str
    start: int
    end: int


def split_words(text: str) -> list[Span]:
    """Split a text into words, numbers and single signs; each Chinese or Japanese character is a word of its own.

    A word keeps its apostrophes (``don't``) and a number its separators (``3.14``); combining marks stay with their
    letter. White space is dropped; nothing else is.
    """
    return [Span(match.group(), match.start(), match.end()) for match in _pattern().finditer(text)]


def count_cjk(text: str) -> int:
    """Return how many characters of the text are Chinese characters or kana."""
    return len(_CJK.findall(text))


@functools.cache
def _pattern() -> re.Pattern[str]:
    # \w has no combining marks, without which Hindi or Thai words would be cut at every vowel sign.
    marks = _marks()
    letter = f"(?:(?![{CJK}])[\\w{marks}{_JOINERS}])"
    number = r"\d+(?:[.,:]\d+)+(?!\w)"
    return re.compile(f"[{CJK}][{marks}]*|{number}|{letter}+(?:['’]{letter}+)*|\\S[{marks}]*")


def _marks() -> str:
    """Return all combining marks as ranges of a character class."""
    ranges: list[list[int]] = []
    for code in itertools.chain(*MARKED):
        if unicodedata.category(chr(code))[0] != "M":
            continue
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


def clean(text: str) -> str:
    """Replace halves of surrogate pairs, which cut-off JSON escapes leave and no tokenizer can read."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
