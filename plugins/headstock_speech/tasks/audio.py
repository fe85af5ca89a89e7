"""The audio column that tasks of this plugin share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headstock.interfaces import BadExampleError, is_file_value
from headstock.interfaces.task import Row

SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aiff", ".aif", ".au")
"""Endings of audio files that are decoded."""


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
