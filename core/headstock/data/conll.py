"""CoNLL: a word and its tag a line, sentences apart by a blank line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from headstock.interfaces import DataError
from headstock.kits.iob2 import is_tag

_BLANKS = re.compile(r"[ \t]+")


class Sentence(NamedTuple):
    """A sentence: the line of its first word (from 1), its words, its tags as written (``None``: the file has none)."""

    line: int
    words: list[str]
    tags: list[str] | None


def read_sentences(lines: Iterable[str], name: str, need_tags: bool = True) -> Iterator[Sentence]:
    r"""Yield the sentences of a CoNLL file.

    The first column is the word, the last one the tag; columns are apart by tabs, or else by blanks. ``-DOCSTART-``
    lines are left out, and so are comments: lines that begin with ``# `` and are no word with a tag, which
    ``#<tab>O`` is.

    Args:
        lines: The file's lines.
        name: The file's name, for errors.
        need_tags: Whether a file of words alone is an error.

    Raises:
        DataError: a line without a tag or with an impossible one; names file and line.
    """
    words: list[str] = []
    tags: list[str] = []
    first = width = 0
    for number, text in enumerate(lines, start=1):
        fields = _fields(text)
        if not fields:
            if words:
                yield Sentence(first, words, tags or None)
            words, tags = [], []
            continue
        if fields[0] == "-DOCSTART-" or _is_comment(text, fields, width):
            continue
        if not fields[0]:
            raise DataError(f"{name} line {number}: the word is missing; a word and its tag are expected")
        width = width or len(fields)
        first = first if words else number
        words.append(fields[0])
        if width == 1 and not need_tags:
            continue
        if len(fields) == 1:
            raise DataError(f"{name} line {number}: '{fields[0]}' has no tag; a word and its tag are expected")
        if not is_tag(fields[-1]):
            raise DataError(
                f"{name} line {number}: '{fields[-1]}' is no tag; O, or B- or I- (E-, S-, L-, U-, M-) and a type is"
            )
        tags.append(fields[-1])
    if words:
        yield Sentence(first, words, tags or None)


def _fields(text: str) -> list[str]:
    text = text.rstrip("\r\n")
    if not text.strip(" \t"):
        return []
    if "\t" in text:
        return [field.strip(" ") for field in text.rstrip("\t ").split("\t")]
    return _BLANKS.split(text.strip(" "))


def _is_comment(text: str, fields: Sequence[str], width: int) -> bool:
    if not text.startswith("# "):
        return False
    return not is_tag(fields[-1]) or len(fields) != (width or 2)
