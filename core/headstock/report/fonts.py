"""Fonts for texts in any script: which installed families have the characters, if any has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.ft2font import FT2Font

PREFERRED = (
    *("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "PingFang SC"),
    *("Hiragino Sans GB", "Microsoft YaHei", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Heiti SC", "STHeiti"),
    *("SimHei", "DengXian", "Droid Sans Fallback", "Noto Sans CJK JP", "Noto Sans JP", "Hiragino Sans", "Yu Gothic"),
    *("Noto Sans CJK KR", "Noto Sans KR", "Apple SD Gothic Neo", "Malgun Gothic", "NanumGothic", "Noto Sans"),
    *("Noto Sans Arabic", "Noto Sans Thai", "Noto Sans Devanagari", "Arial Unicode MS"),
)
"""Families for plots, the best first, since the fonts that have a character may be many, a brush script among them."""
NOT_FOR_TEXT = (
    *(".", "lastresort", "adobeblank", "adobenotdef", "unicodebmpfallback"),
    *("cmb10", "cmex10", "cmmi10", "cmr10", "cmss10", "cmsy10", "cmtt10", "stixsize", "stixnonunicode"),
)
"""How the names of fonts begin that claim every character and draw boxes, or that are for formulas."""
REGULAR = (400, "normal", "regular", "book")
"""What a font of usual weight is called."""


class Fonts:
    """The families that some texts are drawn with.

    Attributes:
        families: Their names; a character is taken from the first that has it.
    """

    def __init__(self, families: Iterable[str], lacking: Iterable[str]) -> None:
        self.families = tuple(families)
        self._lacking = frozenset(lacking)

    @classmethod
    def for_texts(cls, texts: Iterable[str]) -> Self:
        """Find the families for these texts: matplotlib's own and, for what that lacks, any that is installed.

        Fonts that were installed after matplotlib has listed them are found too.
        """
        families: list[str] = [*mpl.rcParams["font.family"]]
        lacking = {character for text in texts for character in text}
        lacking = _lacking(lacking, get_font(findfont(FontProperties(family=families))))
        for listed in (_listed, _unlisted):
            if not lacking:
                break
            for family in listed():
                left = _lacking(lacking, _font(family))
                if len(left) < len(lacking):
                    families.append(family)
                    lacking = left
                if not lacking:
                    break
        return cls(families, lacking)

    def can_draw(self, text: str) -> bool:
        """Tell whether a font has each character of a text."""
        return self._lacking.isdisjoint(text)


def _font(family: str) -> FT2Font | None:
    """Return the font that matplotlib takes for a family, if its file is still there and can be read."""
    try:
        known = FontProperties(family=family)
        return get_font(findfont(known, fallback_to_default=False, rebuild_if_missing=False))
    except (OSError, RuntimeError, ValueError):
        return None


def _lacking(characters: set[str], font: FT2Font | None) -> set[str]:
    """Return the characters that a font has no outline of."""
    if font is None or not font.scalable:
        return characters
    return {character for character in characters if not font.get_char_index(ord(character))}


def _listed() -> list[str]:
    """Return the families that matplotlib knows, the preferred ones first."""
    found = {
        entry.name
        for entry in fontManager.ttflist
        if entry.weight in REGULAR
        and entry.style == "normal"
        and not entry.name.replace(" ", "").casefold().startswith(NOT_FOR_TEXT)
    }
    preferred = [family for family in PREFERRED if family in found]
    return [*preferred, *sorted(found.difference(preferred))]


def _unlisted() -> list[str]:
    """Add the fonts that came after matplotlib's list was made, which it keeps for good, and return all families."""
    known = {str(entry.fname) for entry in fontManager.ttflist}
    added = [path for path in font_manager.findSystemFonts() if path not in known and _add(path)]
    return _listed() if added else []


def _add(path: str) -> bool:
    try:
        fontManager.addfont(path)
    except Exception:  # FreeType raises plain ones; a font that cannot be read draws nothing
        return False
    return True
