"""Words in Morse code with noise: speech recognition in small, without a recording."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLING_RATE = 8000
SIZES = {"train": 300, "validation": 40, "test": 60}
UNIT_SECONDS = (0.03, 0.04)
RAMP_SECONDS = 0.005
"""Tones swell and fade this long; without, they would click over all frequencies."""

CODE = {
    "a": ".-", "d": "-..", "e": ".", "h": "....", "i": "..", "l": ".-..", "n": "-.", "o": "---", "r": ".-.",
    "s": "...", "t": "-", "u": "..-",
}  # fmt: skip
LETTERS = (1, 5)
"""Letters in a group, from and to."""


def morse_splits() -> dict[str, list[dict[str, Any]]]:
    """Return rows of ``audio`` and ``text`` by split; the same every time, and no word is in two splits."""
    generator = np.random.Generator(np.random.PCG64(1844))
    letters = list(CODE)
    return {
        name: [_recording("".join(_group(letters, generator)), generator) for _ in range(size)]
        for name, size in SIZES.items()
    }


def _group(letters: list[str], generator: np.random.Generator) -> list[str]:
    first, last = LETTERS
    return [str(letter) for letter in generator.choice(letters, generator.integers(first, last, endpoint=True))]


def _recording(word: str, generator: np.random.Generator) -> dict[str, Any]:
    """Key a word by hand, as it were: pitch, speed, loudness and noise differ from recording to recording."""
    unit = generator.uniform(*UNIT_SECONDS)
    keyed = np.concatenate(
        [_silence(generator.uniform(0.05, 0.2)), *_signals(word, unit, generator), _silence(generator.uniform(0.05, 0.2))]
    )
    ramp = np.hanning(round(2 * RAMP_SECONDS * SAMPLING_RATE) + 1)
    envelope = np.convolve(keyed, ramp / ramp.sum(), mode="same")
    time = np.arange(len(envelope)) / SAMPLING_RATE
    tone = np.sin(2 * np.pi * generator.uniform(500, 700) * time + generator.uniform(0, 2 * np.pi))
    loudness = generator.uniform(0.1, 0.6)
    noise = generator.normal(0, loudness * generator.uniform(0.05, 0.3), len(envelope))
    samples = np.clip(loudness * envelope * tone + noise, -1, 1).astype(np.float32)
    return {"audio": {"array": samples, "sampling_rate": SAMPLING_RATE}, "text": word}


def _signals(word: str, unit: float, generator: np.random.Generator) -> list[NDArray[np.float64]]:
    """Return ones where the key is down: a dot is one unit, a dash three, gaps one, and three between letters."""
    parts: list[NDArray[np.float64]] = []
    for position, letter in enumerate(word):
        if position:
            parts.append(_silence(2 * unit))
        for sign in CODE[letter]:
            length = (1 if sign == "." else 3) * unit * generator.uniform(0.9, 1.1)
            parts += [np.ones(round(length * SAMPLING_RATE)), _silence(unit)]
    return parts


def _silence(seconds: float) -> NDArray[np.float64]:
    return np.zeros(round(seconds * SAMPLING_RATE))
