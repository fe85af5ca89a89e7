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
from scipy.signal import resample_poly

from headstock import BadExampleError, is_file_value, read_bytes

Samples = NDArray[np.float32]

LOUDEST = 2.0
"""Decoded MP3 may overshoot 1 a little; beyond this, samples are on another scale (often 16-bit integers)."""


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
    try:
        samples, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, ValueError) as error:
        reason = getattr(error, "error_string", None) or str(error) or type(error).__name__
        raise BadExampleError(f"{name} cannot be decoded as audio: {reason.strip().rstrip('.')}") from error
    return samples.mean(axis=1), int(rate)


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
    return int(value)
