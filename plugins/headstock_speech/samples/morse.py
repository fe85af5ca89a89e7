"""Letters in Morse code with noise: speech recognition in small, without a recording."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

SAMPLING_RATE = 8000
SIZES = {"train": 300, "validation": 40, "test": 60}
SEED = 1844

CODE = {
    "a": ".-",
    "d": "-..",
    "e": ".",
    "h": "....",
    "i": "..",
    "l": ".-..",
    "n": "-.",
    "o": "---",
    "r": ".-.",
    "s": "...",
    "t": "-",
    "u": "..-",
}
"""The twelve most frequent letters of English."""

MOST_LETTERS = 5
"""Each recording is a group of one to this many letters, without meaning, as operators practise them.

They are keyed at some 50 to 60 words a minute, much faster than by hand, so that training takes a minute.
"""

RAMP_SECONDS = 0.005
"""Tones swell and fade this long; without, they would click over all frequencies."""


def morse_splits() -> dict[str, list[dict[str, Any]]]:
    """Return rows of ``audio`` and ``text`` by split, the same every time."""
    generator = Generator(np.random.PCG64(SEED))
    return {name: [_row(generator) for _ in range(size)] for name, size in SIZES.items()}


def _row(generator: Generator) -> dict[str, Any]:
    """Key a group of letters; pitch, speed, loudness and noise differ from row to row."""
    letters = generator.choice(list(CODE), generator.integers(1, MOST_LETTERS, endpoint=True))
    keyed = _keyed("".join(letters), generator.uniform(0.020, 0.025), generator)
    ramp = np.hanning(round(2 * RAMP_SECONDS * SAMPLING_RATE) + 1)
    envelope = np.convolve(keyed, ramp / ramp.sum(), mode="same")
    turns = generator.uniform(500, 700) * np.arange(len(envelope)) / SAMPLING_RATE + generator.uniform()
    noise = generator.normal(0, generator.uniform(0.05, 0.2), len(envelope))
    samples = generator.uniform(0.1, 0.6) * (envelope * np.sin(2 * np.pi * turns) + noise)
    audio = {"array": np.clip(samples, -1, 1).astype(np.float32), "sampling_rate": SAMPLING_RATE}
    return {"audio": audio, "text": "".join(letters)}


def _keyed(text: str, unit: float, generator: Generator) -> NDArray[np.float64]:
    """Return one where the key is down and zero elsewhere.

    A dot lasts one unit (in seconds), a dash three; one unit parts signs and three part letters.
    """
    parts = [(0.0, generator.uniform(0.05, 0.2))]
    for letter in text:
        for sign in CODE[letter]:
            parts += [(1.0, (1 if sign == "." else 3) * unit * generator.uniform(0.9, 1.1)), (0.0, unit)]
        parts.append((0.0, 2 * unit))
    parts.append((0.0, generator.uniform(0.05, 0.2)))
    return np.concatenate([np.full(round(seconds * SAMPLING_RATE), level) for level, seconds in parts])
