"""Which texts are certainly spellings of one value."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container
from decimal import Decimal

INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060"
"""Signs without width, which tables get from byte-order marks and web pages."""

_NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9]\d{0,30})(?:\.\d{0,30})?|\.\d{1,30})(?:[eE][+-]?\d{1,3})?", re.ASCII)
_VERSION = re.compile(r"(\d+)\.(\d+)0", re.ASCII)


def spelling_key(text: str) -> str:
    """Return a key that is equal for texts that are spellings of one value.

    Surrounding blanks and the way in which Unicode composes characters do not count. ``1``, ``1.0``, ``+1`` and ``1e0``
    are one number, but ``01`` is a code. ``true``, ``True`` and ``TRUE`` are one boolean; other words are told apart by
    upper and lower case.
    """
    text = bare(text)
    if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return text.lower()
    if _NUMBER.fullmatch(text):
        number = Decimal(text)
        return f"{number.normalize():f}" if number else "0"
    return text


def bare(text: str) -> str:
    """Return a text in Unicode's composed form (NFC), without blanks and invisible signs around it."""
    before = None
    while before != text:
        before, text = text, text.strip().strip(INVISIBLE)
    return unicodedata.normalize("NFC", text)


def counts_on(text: str, others: Container[str]) -> bool:
    """Tell whether ``1.10`` stands among ``1.9`` or ``1.11``: then these are versions, and it is not ``1.1``."""
    found = _VERSION.fullmatch(text)
    if found is None or not int(found[2]):
        return False
    minor = int(found[2]) * 10
    return f"{found[1]}.{minor - 1}" in others or f"{found[1]}.{minor + 1}" in others
