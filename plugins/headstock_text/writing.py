"""Other ways to write one text: simplified or traditional Chinese, full-width or half-width forms."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Literal

from pydantic import Field

from headstock import Config, HeadstockError
from headstock_text.splitting import clean

_FORMS = re.compile("[\uff01-\uff5e\uff61-\uff9f\u3000]+")
"""Full-width Latin letters, digits and signs, half-width katakana and the full-width space."""

Conversion = Literal["none", "t2s", "s2t", "tw2s", "tw2sp", "s2tw", "s2twp", "hk2s", "s2hk"]


class WritingConfig(Config):
    """Options of every text task on how the backbone reads a text; the data, and positions in it, stay as they are."""

    opencc: Conversion = Field(
        "none",
        description="conversion of Chinese before the backbone reads it, by OpenCC's name: t2s to simplified, s2t to "
        "traditional; tw and hk are Taiwan's and Hong Kong's characters, p also changes words (needs "
        "headstock[chinese])",
    )
    half_width: bool = Field(
        False,
        description="let the backbone read full-width letters, digits and signs as ASCII, half-width kana as kana",
    )


class Writing:
    """Rewrites texts as the options say.

    Raises:
        HeadstockError: OpenCC is asked for and not installed.
    """

    def __init__(self, config: WritingConfig) -> None:
        self.half_width = config.half_width
        self._name = config.opencc
        self._converter: Any = None
        if config.opencc != "none" and find_spec("opencc") is None:
            raise HeadstockError(
                f"task.opencc={config.opencc} needs the opencc package: pip install 'headstock[chinese]'"
            )

    @property
    def changes(self) -> bool:
        """Whether anything is rewritten at all."""
        return self.half_width or self._name != "none"

    def text(self, text: str) -> str:
        """Return a text rewritten; its length may change."""
        return self._chinese(self._width(text))

    def words(self, words: Sequence[str]) -> list[str]:
        """Return words rewritten, as many as there were.

        They are converted in their context, since a character alone may have several counterparts. Conversions that
        change whole words, and so lengths, have no context: each word is converted by itself.
        """
        narrow = [self._width(word) for word in words]
        whole = "" if self._name.endswith("p") else self._chinese("".join(narrow))
        if len(whole) != sum(map(len, narrow)):
            return [self._chinese(word) for word in narrow]
        ends = list(itertools.accumulate(map(len, narrow)))
        return [whole[end - len(word) : end] for word, end in zip(narrow, ends, strict=True)]

    def _width(self, text: str) -> str:
        if not self.half_width or text.isascii():
            return text
        return _FORMS.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text)

    def _chinese(self, text: str) -> str:
        if self._name == "none" or text.isascii():
            return text
        if self._converter is None:
            import opencc

            self._converter = opencc.OpenCC(self._name)
        converted: str = self._converter.convert(clean(text))
        return converted
