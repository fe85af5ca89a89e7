"""Single notes of five made-up instruments: audio classification in small, without a recording."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

SAMPLING_RATE = 8000
SIZES = {"train": 200, "validation": 50, "test": 50}
SEED = 440

Floats = NDArray[np.float64]

INSTRUMENTS: dict[str, tuple[tuple[float, ...], float, float]] = {
    "flute": ((1.0, 0.25, 0.1), 0.06, 0.05),
    "clarinet": ((1.0, 0.0, 0.6, 0.0, 0.4, 0.0, 0.25), 0.03, 0.01),
    "strings": ((1.0, 0.7, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15), 0.12, 0.02),
    "organ": ((0.8, 1.0, 0.1, 0.8, 0.0, 0.0, 0.0, 0.5), 0.01, 0.0),
    "bell": ((1.0, 0.0, 0.7, 0.6, 0.0, 0.4), 0.003, 0.0),
}
"""Strength of each harmonic, seconds until a note is at its loudest, and share of breath."""

SKEW = 1.07
"""A bell's overtones are no whole multiples of its pitch; each is this much higher than the one below would have it."""


def instrument_splits() -> dict[str, list[dict[str, Any]]]:
    """Return rows of ``audio`` and ``label`` by split, the same every time."""
    generator = Generator(np.random.PCG64(SEED))
    names = list(INSTRUMENTS)
    return {
        split: [_row(names[number % len(names)], generator) for number in range(size)] for split, size in SIZES.items()
    }


def _row(name: str, generator: Generator) -> dict[str, Any]:
    """Play a note; pitch, length, loudness and noise differ from row to row."""
    harmonics, attack, breath = INSTRUMENTS[name]
    seconds = np.arange(round(generator.uniform(0.25, 0.5) * SAMPLING_RATE)) / SAMPLING_RATE
    pitch = generator.uniform(150, 450)
    vibrato = 0.004 * np.sin(2 * np.pi * 6 * seconds) if name in ("flute", "strings") else np.zeros_like(seconds)
    note = np.zeros_like(seconds)
    for number, strength in enumerate(harmonics):
        multiple = (number + 1) * (SKEW**number if name == "bell" else 1.0)
        if pitch * multiple < SAMPLING_RATE / 2:
            phase = 2 * np.pi * (pitch * multiple * seconds + generator.uniform()) + vibrato * pitch * multiple
            note += strength * np.sin(phase)
    note += breath * generator.normal(0, 1, len(seconds)) * 5
    envelope = np.minimum(seconds / attack, 1.0) * _fading(name, seconds)
    noise = generator.normal(0, generator.uniform(0.005, 0.05), len(seconds))
    samples = generator.uniform(0.2, 0.8) * envelope * note / np.abs(note).max() + noise
    return {
        "audio": {"array": np.clip(samples, -1, 1).astype(np.float32), "sampling_rate": SAMPLING_RATE},
        "label": name,
    }


def _fading(name: str, seconds: Floats) -> Floats:
    if name == "bell":
        return np.asarray(np.exp(-6 * seconds))
    return np.asarray(np.minimum((seconds[-1] - seconds) / 0.05, 1.0))
