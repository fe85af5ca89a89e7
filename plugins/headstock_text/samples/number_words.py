"""Numbers in English words and in German ones: translation in small, with a change of order in every number."""

from __future__ import annotations

import random

ENGLISH_ONES = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
ENGLISH_TEENS = ["thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
ENGLISH_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
GERMAN_ONES = ["eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "elf", "zwölf"]
GERMAN_TEENS = ["dreizehn", "vierzehn", "fünfzehn", "sechzehn", "siebzehn", "achtzehn", "neunzehn"]
GERMAN_TENS = ["zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"]
SIZES = {"train": 640, "validation": 80, "test": 80}
SEED = 7


def number_splits() -> dict[str, list[dict[str, str]]]:
    """Return rows of ``source`` and ``target`` by split; no number is in two of them."""
    numbers = list(range(100, 1000))
    random.Random(SEED).shuffle(numbers)
    rows = [{"source": english(number), "target": german(number)} for number in numbers]
    splits, start = {}, 0
    for name, size in SIZES.items():
        splits[name] = rows[start : start + size]
        start += size
    return splits


def english(number: int) -> str:
    """Return a number below a thousand in English: two hundred and forty-one."""
    hundreds, rest = divmod(number, 100)
    parts = [f"{ENGLISH_ONES[hundreds - 1]} hundred"] if hundreds else []
    if rest:
        parts.append(_english_below_hundred(rest))
    return " and ".join(parts)


def _english_below_hundred(number: int) -> str:
    if number <= 12:
        return ENGLISH_ONES[number - 1]
    if number < 20:
        return ENGLISH_TEENS[number - 13]
    tens, ones = divmod(number, 10)
    return ENGLISH_TENS[tens - 2] + (f"-{ENGLISH_ONES[ones - 1]}" if ones else "")


def german(number: int) -> str:
    """Return a number below a thousand in German, its parts spaced: zwei hundert ein und vierzig."""
    hundreds, rest = divmod(number, 100)
    parts = [f"{_joined(hundreds)} hundert"] if hundreds else []
    if rest:
        parts.append(_german_below_hundred(rest))
    return " ".join(parts)


def _german_below_hundred(number: int) -> str:
    if number <= 12:
        return GERMAN_ONES[number - 1]
    if number < 20:
        return GERMAN_TEENS[number - 13]
    tens, ones = divmod(number, 10)
    return (f"{_joined(ones)} und " if ones else "") + GERMAN_TENS[tens - 2]


def _joined(ones: int) -> str:
    return "ein" if ones == 1 else GERMAN_ONES[ones - 1]
