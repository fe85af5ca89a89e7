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
_UNSPACED = re.compile(f"[{CJK}\u3001-\u303f\uff01-\uffee]")
_PLAIN = re.compile("[\0-\u02ff\u2010-\u2027\u2030-\u205e]*")
"""Latin letters and punctuation: texts without a combining mark, a Chinese character or a joiner."""
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
    # The whole pattern takes long to compile.
    pattern = _pattern("") if _PLAIN.fullmatch(text) else _pattern(_marks())
    return [Span(match.group(), match.start(), match.end()) for match in pattern.finditer(text)]


def split_characters(text: str) -> list[Span]:
    """Split a text into its characters, each with its combining marks; white space is dropped."""
    pattern = re.compile(f"\\S[{_marks()}{_JOINERS}]*")
    return [Span(match.group(), match.start(), match.end()) for match in pattern.finditer(text)]


def is_unspaced(word: str) -> bool:
    """Tell whether a word begins with what no space stands before in Chinese and Japanese, signs among them."""
    return bool(_UNSPACED.match(word))


def count_cjk(text: str) -> int:
    """Return how many characters of the text are Chinese characters or kana."""
    return len(_CJK.findall(text))


@functools.cache
def _pattern(marks: str) -> re.Pattern[str]:
    # \w has no combining marks, without which Hindi or Thai words would be cut at every vowel sign.
    letter = f"(?:(?![{CJK}])[\\w{marks}{_JOINERS}])"
    mark = f"[{marks}]*" if marks else ""
    number = r"\d+(?:[.,:]\d+)+(?!\w)"
    return re.compile(f"[{CJK}]{mark}|{number}|{letter}+(?:['’]{letter}+)*|\\S{mark}")


@functools.cache
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
