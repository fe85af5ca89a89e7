"""The ``automatic-speech-recognition`` task: transcripts by connectionist temporal classification."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, Literal

import jiwer
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from headstock import (
    Backbone,
    BadExampleError,
    Batch,
    Column,
    Config,
    DataError,
    Example,
    Features,
    Loss,
    Metric,
    NoTargetError,
    Row,
    Splits,
    Task,
    TrainingFacts,
    note,
)
from headstock.kits import parts_words
from headstock_speech.samples.morse import morse_splits
from headstock_speech.tasks.audio import SUFFIXES, audio_input
from headstock_speech.tasks.transcripts import BLANK, Alphabet, normalise, shortened

IGNORED = -100
"""Padding of target characters."""


class SpeechRecognitionConfig(Config):
    """Options of the ``automatic-speech-recognition`` task."""

    case: Literal["keep", "lower", "upper"] = Field("lower", description="letters of transcripts as written or as one")
    remove_punctuation: bool = Field(
        False, description="drop punctuation and symbols from transcripts; apostrophes stay, dashes part words"
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout before the output layer")


class SpeechRecognition(Task):
    """Spells what was said, one character or nothing a frame.

    The alphabet is that of the training transcripts. Source: A. Graves et al., "Connectionist Temporal Classification:
    Labelling Unsegmented Sequence Data with Recurrent Neural Networks", ICML 2006. Decoding takes the best path.
    """

    Config = SpeechRecognitionConfig
    modality: ClassVar[str] = "speech"
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            name="audio",
            role="input",
            summary="recording of what was said, any rate, channels averaged",
            content="file",
            suffixes=SUFFIXES,
        ),
        Column(name="text", role="target", summary="transcript of the recording"),
    )
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(name="wer", better="lower", summary="word errors by words of the transcripts"),
        Metric(name="cer", better="lower", summary="character errors by characters of the transcripts"),
        Metric(name="exact_match", better="higher", summary="fraction of recordings without any error"),
    )
    default_backbone: ClassVar[str] = "crnn"
    labels_are: ClassVar[str] = "characters"
    pipeline_tag: ClassVar[str | None] = "automatic-speech-recognition"

    def __init__(self, config: SpeechRecognitionConfig) -> None:
        super().__init__(config)
        self.alphabet = Alphabet(())
        self._parts_words = True

    @classmethod
    def trainer_defaults(cls, config: SpeechRecognitionConfig, facts: TrainingFacts) -> Mapping[str, Any]:
        """Return more patience than usual: a recognizer first learns to say nothing, and every word stays wrong."""
        del config, facts
        return {"patience": 20}

    # Data

    def sample(self) -> Splits:
        """Return words in Morse code, made up on the spot."""
        return morse_splits()

    def inputs(self, row: Row) -> Mapping[str, Any]:
        """Return ``{"audio": value}``."""
        return audio_input(row)

    def reference(self, row: Row) -> str:
        """Return the normalised transcript, which may be empty: nobody speaks in the recording."""
        value = row.get("text")
        if not isinstance(value, str):
            raise BadExampleError(f"column 'text' holds {type(value).__name__}, not a transcript")
        return normalise(value, self.config.case, self.config.remove_punctuation)

    def learn(self, references: Sequence[str]) -> None:
        """Learn the alphabet, and whether its script parts words by spaces."""
        self.alphabet = Alphabet.learn(references)
        self._parts_words = parts_words(references)
        if not self._parts_words:
            note(
                "transcripts without spaces between words, so that cer chooses the best checkpoint and not wer",
                len(references),
            )

    @property
    def deciding_metric(self) -> str:
        """``wer``, or ``cer`` where the transcripts' script does not part words by spaces."""
        return "wer" if self._parts_words else "cer"

    def state(self) -> dict[str, Any]:
        """Return the alphabet, and whether transcripts part words."""
        return {"alphabet": list(self.alphabet.characters), "parts_words": self._parts_words}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back the alphabet, and whether transcripts part words."""
        self.alphabet = Alphabet(state["alphabet"])
        self._parts_words = bool(state.get("parts_words", True))

    def encode(self, reference: str, example: Example) -> dict[str, Tensor]:
        """Return ``characters`` (S,), the ids of the transcript's characters.

        Raises:
            NoTargetError: the recording has fewer frames than the characters need, each one frame and one more
                between two that are the same; or the transcript is empty, or has a character that no training
                transcript has.
            DataError: the backbone does not tell its frames.
        """
        if "frames" not in example:
            raise DataError("this backbone's examples do not tell their number of 'frames', which this task needs")
        if not reference:
            raise NoTargetError(
                "the transcript is empty", "recordings with an empty transcript, where all that is recognized is wrong"
            )
        ids = self.alphabet.encode(reference)
        needed = len(ids) + sum(first == second for first, second in pairwise(ids))
        frames = int(example["frames"])
        if frames < needed:
            raise NoTargetError(
                f"the recording is too short for '{shortened(reference)}': {frames} frames, {needed} are needed",
                "recordings too short for their transcript, scored as wrong",
            )
        return {"characters": torch.tensor(ids)}

    def label_counts(self, references: Sequence[str]) -> dict[str, int]:
        """Return how often each character occurs, the most frequent first."""
        return dict(Counter(character for reference in references for character in reference).most_common())

    # Model

    def build_head(self, backbone: Backbone) -> nn.Module:
        """Return dropout and a linear layer with an output for each character and the blank."""
        return nn.Sequential(nn.Dropout(self.config.dropout), nn.Linear(backbone.feature_dim, len(self.alphabet) + 1))

    def forward(self, head: nn.Module, features: Features, batch: Batch) -> dict[str, Tensor]:
        """Return ``logits`` (B, T, characters + 1) and the real ``lengths`` (B,) of their sequences."""
        del batch
        return {"logits": head(features.sequence), "lengths": features.mask.sum(dim=1)}

    def loss(self, outputs: dict[str, Tensor], batch: Batch) -> Loss:
        """Return for each example the negative log-likelihood by character of its transcript, summed."""
        targets = batch.targets["characters"]
        sizes = (targets != IGNORED).sum(dim=1)
        each = F.ctc_loss(
            outputs["logits"].float().log_softmax(dim=2).transpose(0, 1),
            targets.clamp(min=BLANK),
            outputs["lengths"],
            sizes,
            blank=BLANK,
            reduction="none",
        )
        return Loss((each / sizes).sum(), each.new_full((), float(len(targets))))

    # Predictions

    def decode(self, outputs: dict[str, Tensor], batch: Batch) -> list[str]:
        """Return each example's transcript."""
        del batch
        paths, lengths = outputs["logits"].argmax(dim=2).tolist(), outputs["lengths"].tolist()
        return [self.alphabet.decode(path[:length]) for path, length in zip(paths, lengths, strict=True)]

    def baseline(self, references: Sequence[str], inputs: Iterable[Mapping[str, Any]]) -> list[str]:
        """Return silence: an empty transcript for every recording."""
        del references
        return ["" for _ in inputs]

    def score(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        """Return word and character error rate over all recordings together, and the share without any error."""
        right = sum(prediction == reference for prediction, reference in zip(predictions, references, strict=True))
        return {
            "wer": float(jiwer.wer(list(references), list(predictions))),
            "cer": float(jiwer.cer(list(references), list(predictions))),
            "exact_match": right / len(references),
        }

    def to_pipeline(self, prediction: str, row: Row) -> dict[str, str]:
        """Return ``{"text": …}``."""
        del row
        return {"text": prediction}
