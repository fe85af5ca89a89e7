"""The audio column that tasks of this plugin share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headstock import BadExampleError, Row, is_file_value

SUFFIXES = (
    *(".wav", ".wave", ".bwf", ".rf64", ".w64", ".flac", ".mp3", ".mp2", ".ogg", ".oga", ".opus"),
    *(".aiff", ".aif", ".aifc", ".au", ".snd", ".caf", ".sph", ".nist", ".voc"),
)
"""Endings of audio files that libsndfile decodes, in lower case."""


def audio_input(row: Row) -> Mapping[str, Any]:
    """Return ``{"audio": value}``, which is what backbones for speech take.

    Raises:
        BadExampleError: the row has neither a file nor samples.
    """
    value = row.get("audio")
    if not (is_file_value(value) or (isinstance(value, Mapping) and "array" in value)):
        raise BadExampleError(
            f"column 'audio' holds {type(value).__name__}, not a file or a mapping of array and sampling_rate"
        )
    return {"audio": value}
