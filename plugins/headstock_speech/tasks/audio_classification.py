"""The ``audio-classification`` task: one label for a recording, such as who speaks or what sounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from headstock import Column, Row, Splits, TrainingFacts
from headstock.kits import Classification
from headstock_speech.samples.instruments import instrument_splits
from headstock_speech.tasks.audio import SUFFIXES, audio_input


class AudioClassification(Classification):
    """Assigns one label to a recording, from the mean of its frames' features."""

    modality: ClassVar[str] = "speech"
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            name="audio",
            role="input",
            summary="recording, any rate, channels averaged",
            content="file",
            suffixes=SUFFIXES,
        ),
        Column(name="label", role="target", summary="its label: speaker, word, sound, …", stratify=True),
    )
    default_backbone: ClassVar[str] = "crnn"
    pipeline_tag: ClassVar[str | None] = "audio-classification"

    @classmethod
    def trainer_defaults(cls, config: Any, facts: TrainingFacts) -> Mapping[str, Any]:
        """Return the patience that a small network from scratch needs."""
        del config, facts
        return {"patience": 10}

    def sample(self) -> Splits:
        """Return single notes of made-up instruments."""
        return instrument_splits()

    def inputs(self, row: Row) -> Mapping[str, Any]:
        """Return ``{"audio": value}``."""
        return audio_input(row)
