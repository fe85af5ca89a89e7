"""What of two transcripts counts as the same: named normalisations, under which they are compared."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from typing import Literal

Normalisation = Literal["none", "basic", "english"]
"""``none`` compares transcripts as they are. ``basic`` and ``english`` are those of Whisper's evaluation, as
transformers has them: ``basic`` takes no account of case, punctuation, symbols and what stands in brackets;
``english`` nor of hesitations, contractions and how numbers are written. British and American spelling remain two: the
list that Whisper has for them comes with some checkpoints and not with others, so that figures would depend on it.

Source: A. Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022, appendix C.
"""


def normaliser(name: Normalisation) -> Callable[[str], str]:
    """Return what is done to a transcript before it is compared."""
    if name == "none":
        return str
    from transformers.models.whisper.english_normalizer import BasicTextNormalizer, EnglishTextNormalizer

    # Both are without types.
    apply = BasicTextNormalizer() if name == "basic" else EnglishTextNormalizer({})  # type: ignore[no-untyped-call]
    return lambda text: " ".join(apply(text).split())


def has_marks(texts: Iterable[str]) -> bool:
    """Tell whether a script writes vowels or tones as marks of their own, which ``basic`` would take for symbols.

    Devanagari, Bengali, Tamil, Thai, pointed Hebrew and Arabic do, so that words would fall apart or become the same.
    """
    characters = set().union(*(unicodedata.normalize("NFKC", text) for text in texts))
    return any(unicodedata.category(character)[0] == "M" for character in characters)
