"""Lists that a cell of a CSV file holds as text, since CSV has no lists of its own."""

from __future__ import annotations

import ast
import json
import re

_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_BETWEEN = re.compile(r"\s*,?\s*")


def read_list(text: str) -> list[object] | None:
    """Return the list that a text writes out, or ``None`` where it writes none.

    Known are JSON (``["O", "B-PER"]``), Python (``['O', 'B-PER']``) and NumPy (``['O' 'B-PER']``), in which nothing
    stands between the parts; of the last two only lists of texts.
    """
    text = text.strip()
    if not (text.startswith("[") and text.endswith("]")):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return _quoted_parts(text[1:-1])
    return value if isinstance(value, list) else None


def _quoted_parts(inside: str) -> list[object] | None:
    parts: list[object] = []
    position = len(inside) - len(inside.lstrip())
    while position < len(inside):
        match = _QUOTED.match(inside, position)
        if match is None:
            return None
        try:
            parts.append(ast.literal_eval(match[0]) if "\\" in match[0] else match[0][1:-1])
        except (SyntaxError, ValueError):
            return None
        between = _BETWEEN.match(inside, match.end())
        position = match.end() if between is None else between.end()
    return parts
