"""Reads CoNLL: a word and its tag a line, sentences apart by a blank line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from headstock import BadExampleError, DataError, Request, Splits
from headstock.kits import cached_rows, open_text
from headstock_text.iob2 import is_tag, to_iob2

_BLANKS = re.compile(r"[ \t]+")

COLUMNS = ("words", "tags")


class Sentence(NamedTuple):
    """A sentence, or what is wrong with it.

    Attributes:
        line: The line of its first word (from 1), or the line that is wrong.
        words: Its words.
        tags: The last column as written: its tags, where the file has tags.
        problem: What is wrong, if something is.
    """

    line: int
    words: list[str]
    tags: list[str]
    problem: str = ""


def read_conll(request: Request) -> Splits:
    """Return the sentences of a CoNLL file as ``words`` and ``tags`` (as IOB2), each a list.

    Where targets are not needed, a file of words alone will do.

    Raises:
        DataError: not UTF-8, or a mapping of columns that the format has not.
    """
    path = request.path
    for column, source in request.columns.items():
        if source not in COLUMNS:
            raise DataError(
                f"{path}: CoNLL holds words and tags, and no column '{source}', which data.columns.{column} names"
            )
    tagged = request.with_targets or _has_tags(path)

    def rows() -> Iterator[tuple[int, Mapping[str, Any] | BadExampleError]]:
        with open_text(path) as stream:
            for sentence in read_sentences(stream, tagged):
                yield sentence.line, BadExampleError(sentence.problem) if sentence.problem else _row(sentence, tagged)

    return {"train": cached_rows(path, "conll 2", COLUMNS if tagged else COLUMNS[:1], rows)}


def read_sentences(lines: Iterable[str], tagged: bool = True) -> Iterator[Sentence]:
    r"""Yield the sentences of a CoNLL file.

    The first column is the word, the last one the tag; columns are apart by tabs, or else by blanks. ``-DOCSTART-``
    lines are left out, and so are comments: lines that begin with ``# `` and are no word with a tag, which
    ``#<tab>O`` is.

    Args:
        lines: The file's lines.
        tagged: Whether each word must have a tag; if not, the file is one of words alone.
    """
    sentence = Sentence(0, [], [])
    width = 0
    for number, text in enumerate(lines, start=1):
        fields = _fields(text)
        if not fields:
            if sentence.line:
                yield sentence
            sentence = Sentence(0, [], [])
            continue
        if fields[0] == "-DOCSTART-" or _is_comment(text, fields, width):
            continue
        width = width or len(fields)
        if not sentence.line:
            sentence = sentence._replace(line=number)
        problem = _problem(fields, tagged)
        if problem and not sentence.problem:
            sentence = sentence._replace(line=number, problem=problem)
        sentence.words.append(fields[0])
        sentence.tags.append(fields[-1])
    if sentence.line:
        yield sentence


def _problem(fields: Sequence[str], tagged: bool) -> str:
    if not fields[0]:
        return "the word is missing; a word and its tag are expected"
    if not tagged:
        return "" if len(fields) == 1 else "more than a word; one word a line is expected, as in the file's first line"
    if len(fields) == 1:
        return f"'{fields[0]}' has no tag; a word and its tag are expected"
    if not is_tag(fields[-1]):
        return f"'{fields[-1]}' is no tag; O, or B- or I- (E-, S-, L-, U-, M-) and a type is"
    return ""


def _row(sentence: Sentence, tagged: bool) -> Mapping[str, Any]:
    return {"words": sentence.words, **({"tags": to_iob2(sentence.tags)} if tagged else {})}


def _has_tags(path: Path) -> bool:
    """Tell a file of words and tags from one of words alone by its first word."""
    with open_text(path) as stream:
        for text in stream:
            fields = _fields(text)
            if fields and fields[0] != "-DOCSTART-" and not _is_comment(text, fields, 0):
                return len(fields) > 1
    return False


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
