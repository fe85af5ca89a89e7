"""Chinese words, as jieba finds them (a dictionary, and a hidden Markov model for words that it lacks)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from importlib import metadata
from importlib.util import find_spec

from headstock import HeadstockError
from headstock_text.splitting import Span, count_cjk, split_words


def require_jieba() -> str:
    """Return the version of rjieba, whose dictionary decides what a word is.

    Raises:
        HeadstockError: it is not installed.
    """
    if find_spec("rjieba") is None:
        raise HeadstockError("backbone.unit=jieba needs the rjieba package: pip install 'headstock[chinese]'")
    return metadata.version("rjieba")


def segmented_words(text: str) -> list[str]:
    """Split a text as :func:`headstock_text.splitting.split_words` does, but Chinese into whole words."""
    import rjieba

    words: list[str] = []
    for chinese, run in itertools.groupby(_with_neighbours(split_words(text)), key=lambda each: each[1]):
        pieces = [span.word for span, _ in run]
        words.extend(rjieba.cut("".join(pieces)) if chinese else pieces)
    return words


def _with_neighbours(spans: Iterable[Span]) -> Iterable[tuple[Span, int]]:
    """Yield each span with a number above 0 that those of one unbroken run of Chinese share, and others with 0."""
    run, end = 0, -1
    for span in spans:
        chinese = count_cjk(span.word) > 0
        if not chinese or span.start != end:
            run += 1
        end = span.end if chinese else -1
        yield span, run if chinese else 0
