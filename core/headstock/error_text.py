"""What errors of other libraries and values of users look like inside a line of ours."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

LONGEST_VALUE = 80
"""Characters that a value may take in an error."""


def reason(error: BaseException) -> str:
    """Return in one line why something failed, without the names of files, which the caller's line has."""
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 text ({error.reason})"
    if isinstance(error, UnicodeEncodeError):
        return "it holds half of a surrogate pair, which is no character"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, MemoryError) and not str(error):
        return "it does not fit into memory"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def shown(value: object, longest: int = LONGEST_VALUE) -> str:
    """Return a value as an error shows it: its repr in one line, cut where it is long."""
    try:
        text = printable(repr(value))
    except (RecursionError, ValueError):  # nested without end, or a number of thousands of digits
        text = f"a {type(value).__name__} too large to show"
    return clipped(text, longest)


def clipped(text: str, longest: int) -> str:
    """Return text of so many characters at most, the last one an ellipsis where it was cut."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def printable(text: str) -> str:
    """Return text with line breaks, other control characters and halves of surrogate pairs as escapes."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or unicodedata.category(each) == "Zs" else _escape(each) for each in text)


def json_text(value: Any, indent: int | None = None) -> str:
    """Return a JSON value as text whose characters can all be printed; those that cannot are JSON's own escapes."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    lines = (line if line.isprintable() else "".join(map(_json_escape, line)) for line in text.split("\n"))
    return "\n".join(lines)


def _json_escape(character: str) -> str:
    return character if printable(character) == character else json.dumps(character)[1:-1]


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
