"""Which script texts are written in, and whether it parts words by spaces."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable

UNSPACED = frozenset(("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN"))
"""Scripts whose words stand without spaces between them, as :func:`scripts_of` names them."""

FEW_SPACES = 0.1
"""Below this fraction of all characters, spaces part phrases and not words."""


def scripts_of(texts: Iterable[str]) -> Counter[str]:
    """Return how many letters there are of each script.

    A script is called by the first word of its letters' Unicode names: ``LATIN``, ``CYRILLIC``, ``CJK`` (Chinese
    characters), ``HIRAGANA``, ``HANGUL`` …
    """
    counts: Counter[str] = Counter()
    for character, count in Counter(character for text in texts for character in text).items():
        if character.isalpha():
            normal = unicodedata.normalize("NFKC", character)[0]
            counts[unicodedata.name(normal, "UNKNOWN").split()[0]] += count
    return counts


def parts_words(texts: Iterable[str]) -> bool:
    """Tell whether words stand apart by spaces, so that counting words makes sense.

    They do not where most letters are of a script without spaces, unless the texts have spaces all the same.
    """
    texts = list(texts)
    scripts = scripts_of(texts)
    unspaced = sum(count for script, count in scripts.items() if script in UNSPACED)
    spaces = sum(text.count(" ") for text in texts)
    return unspaced <= scripts.total() / 2 or spaces >= FEW_SPACES * sum(map(len, texts))
