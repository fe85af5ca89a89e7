"""Turns what an audio column holds into a waveform."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray

from headstock import BadExampleError, is_file_value, note, read_bytes

Samples = NDArray[np.float32]

LOUDEST = 2.0
"""Decoded MP3 may overshoot 1 a little; beyond this, samples are on another scale (often 16-bit integers)."""


MOST_SAMPLES = 2**29
"""Longer sounds are refused (three hours at 48 kHz): a small file can hold days of silence."""
BLOCK = 2**20
"""Samples of all channels that are decoded at once. What a header says of the length is not believed."""
LOWEST_RATE, HIGHEST_RATE = 1000, 1_000_000
"""Samples a second between which a sound can be told from a damaged header."""
CUT_OFF = "recordings cut off: their files are shorter than they say of themselves"
UNKNOWN_LENGTH = 2**31 - 2**20
"""Bytes of sound from which on a WAV header only says that its length was not known when it was written."""
PRECISION = 0.99
"""Share of the length that a compressed file says, from which on it is complete: what it says is rounded."""


class Audio(NamedTuple):
    """A mono waveform.

    Attributes:
        samples: Samples (T,), nominally from -1 to 1.
        rate: Samples a second.
        name: How messages call it: the file's path where it has one.
    """

    samples: Samples
    rate: int
    name: str

    @property
    def seconds(self) -> float:
        """Duration."""
        return len(self.samples) / self.rate

    def at(self, rate: int) -> Audio:
        """Return the same sound at another rate (polyphase filtering, as in :func:`scipy.signal.resample_poly`)."""
        from scipy.signal import resample_poly

        if rate == self.rate:
            return self
        shared = math.gcd(rate, self.rate)
        samples = resample_poly(self.samples, rate // shared, self.rate // shared)
        return Audio(samples.astype(np.float32, copy=False), rate, self.name)


def decode_audio(value: object) -> Audio:
    """Return an audio value as a mono waveform at its own rate; channels are averaged.

    Args:
        value: A file value (path, bytes or ``{"path", "bytes"}``) of a format that libsndfile reads (WAV, FLAC, MP3,
            Ogg, …), or ``{"array": floats (T,) from -1 to 1, "sampling_rate": int}``.

    Raises:
        BadExampleError: no waveform can be made of it; the message names the file when there is one.
    """
    if isinstance(value, Mapping) and "array" in value:
        name = str(value.get("path") or "the audio")
        samples, rate = _from_array(value["array"], name), _rate(value.get("sampling_rate"), name)
    elif is_file_value(value):
        name = _name(value)
        samples, rate = _from_file(read_bytes(value), name)
    else:
        raise BadExampleError(
            f"audio must be a path, bytes or a mapping of array and sampling_rate, not {type(value).__name__}"
        )
    if samples.size == 0:
        raise BadExampleError(f"{name} holds no samples")
    if not np.isfinite(samples).all():
        raise BadExampleError(f"{name} holds samples that are not finite numbers")
    loudest = float(np.abs(samples).max())
    if loudest > LOUDEST:
        raise BadExampleError(f"samples of {name} must lie from -1 to 1; the loudest is {loudest:g}")
    return Audio(samples, rate, name)


def _name(value: object) -> str:
    if isinstance(value, Mapping):
        value = value.get("path")
    return os.fspath(value) if isinstance(value, str | os.PathLike) else "the audio"


def _from_file(content: bytes, name: str) -> tuple[Samples, int]:
    parts: list[Samples] = []
    length = 0
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            rate, frames = int(file.samplerate), max(1, BLOCK // file.channels)
            while len(block := file.read(frames, dtype="float32", always_2d=True)):
                length += len(block)
                if length > MOST_SAMPLES:
                    raise BadExampleError(f"{name} has more than {MOST_SAMPLES:,} samples; cut it in pieces")
                parts.append(block.mean(axis=1))
            complete = length >= file.frames * PRECISION
    except (soundfile.SoundFileError, ValueError, OverflowError, MemoryError) as error:
        reason = getattr(error, "error_string", None) or str(error) or type(error).__name__
        raise BadExampleError(f"{name} cannot be decoded as audio: {reason.strip().rstrip('.')}") from error
    if length and (not complete or _lacks_bytes(content)):
        note(CUT_OFF)
    return np.concatenate(parts) if parts else np.zeros(0, np.float32), _plausible(rate, name)


def _lacks_bytes(content: bytes) -> bool:
    """Tell whether a WAV file ends before its sound does; libsndfile then takes what there is for the whole."""
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        return False
    position = 12
    while position + 8 <= len(content):
        size = int.from_bytes(content[position + 4 : position + 8], "little")
        if content[position : position + 4] == b"data":
            return size < UNKNOWN_LENGTH and position + 8 + size > len(content)
        position += 8 + size + size % 2
    return False


def _from_array(array: object, name: str) -> Samples:
    try:
        samples = np.asarray(array)
    except ValueError as error:
        raise BadExampleError(f"the array of {name} is not a row of numbers") from error
    if samples.ndim != 1 or not np.issubdtype(samples.dtype, np.floating):
        raise BadExampleError(
            f"the array of {name} must be floats of shape (T,), from -1 to 1, not {samples.dtype} of shape "
            f"{samples.shape}"
        )
    return samples.astype(np.float32, copy=False)


def _rate(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value <= 0:
        raise BadExampleError(f"{name} must come with its sampling_rate, a whole number above 0, not {value!r}")
    return _plausible(int(value), name)


def _plausible(rate: int, name: str) -> int:
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise BadExampleError(
            f"{name} has {rate} samples a second, which no sound has ({LOWEST_RATE} to {HIGHEST_RATE:,} are read)"
        )
    return rate
