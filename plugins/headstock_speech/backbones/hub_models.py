"""Models of the Hub that are usual for speech: the smallest first."""

from __future__ import annotations

from collections.abc import Mapping

ENCODERS: Mapping[str, tuple[str, ...]] = {
    "English": ("facebook/wav2vec2-base",),
    "multilingual": ("openai/whisper-tiny", "openai/whisper-base"),
}
WITH_DECODER: Mapping[str, tuple[str, ...]] = {
    "English": ("openai/whisper-tiny.en", "UsefulSensors/moonshine-tiny"),
    "multilingual": ("openai/whisper-tiny", "openai/whisper-base"),
}
