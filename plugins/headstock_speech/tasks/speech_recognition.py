"""The ``automatic-speech-recognition`` task: transcripts by CTC or by the decoder of the backbone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import jiwer
from pydantic import Field
from torch import Tensor, nn

from headstock import (
    Backbone,
    BadExampleError,
    Batch,
    Column,
    Config,
    Example,
    Features,
    Loss,
    Metric,
    Row,
    Splits,
    Task,
    TrainingFacts,
    note,
)
from headstock.kits import parts_words
from headstock_speech.generation import TranscriptGenerator
from headstock_speech.samples.morse import morse_splits
from headstock_speech.tasks.audio import SUFFIXES, audio_input
from headstock_speech.tasks.ctc import Ctc
from headstock_speech.tasks.generated import Generated
from headstock_speech.tasks.normalisation import Normalisation, has_marks, normaliser
from headstock_speech.tasks.transcripts import Alphabet, Case, composed, spelt


class SpeechRecognitionConfig(Config):
    """Options of the ``automatic-speech-recognition`` task."""

    case: Literal["auto", "keep", "lower", "upper"] = Field(
        "auto",
        description="letters that the model learns to write: as they are or as one; auto: small ones for CTC; for a "
        "decoder as they are, unless training transcripts are in capitals throughout",
    )
    remove_punctuation: bool = Field(
        False,
        description="learn transcripts without punctuation and symbols; apostrophes stay, dashes part words",
    )
    normalisation: Literal["auto", "none", "basic", "english"] = Field(
        "auto",
        description="what transcripts are compared after: none: what was learnt against what was written; basic: "
        "without case and punctuation; english: nor contractions and spelling of numbers; auto: none for CTC; for a "
        "decoder english or basic by its language, and none in scripts with vowel marks, which basic would drop",
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout before the output layer, for CTC")


class Transcripts(NamedTuple):
    """What is to be known of training transcripts, as they are written.

    Attributes:
        size: How many there are.
        capitals: Whether all their letters are capitals.
        marks: Whether their script has marks that stand for vowels or tones.
    """

    size: int
    capitals: bool
    marks: bool

    @classmethod
    def of(cls, references: Sequence[str]) -> Transcripts:
        """Look at transcripts."""
        capitals = all(text == text.upper() for text in references)
        cased = any(text != text.lower() for text in references)
        return cls(len(references), capitals and cased, has_marks(references))


class SpeechRecognition(Task):
    """Writes what was said.

    A backbone that generates transcripts (Whisper) does so with its own decoder and tokens; nothing else is trained
    then. Any other backbone spells, one character or nothing a frame, with the alphabet of the training transcripts
    (CTC). Error rates are those of jiwer, after the normalisation that is kept with the model.
    """

    Config = SpeechRecognitionConfig
    config: SpeechRecognitionConfig
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
        Metric(name="wer", better="lower", summary="word errors by words of the transcripts, after task.normalisation"),
        Metric(
            name="cer",
            better="lower",
            summary="character errors by characters of the transcripts, after task.normalisation",
        ),
        Metric(
            name="exact_match",
            better="higher",
            summary="fraction of recordings without any error, after task.normalisation",
        ),
    )
    default_backbone: ClassVar[str] = "crnn"
    labels_are: ClassVar[str] = "characters"
    pipeline_tag: ClassVar[str | None] = "automatic-speech-recognition"

    def __init__(self, config: SpeechRecognitionConfig) -> None:
        super().__init__(config)
        self._way: Ctc | Generated = Ctc(Alphabet(()), config.dropout)
        self._parts_words = True
        self._learnt: Transcripts | None = None
        self._language: str | None = None
        self._case: Case = "lower" if config.case == "auto" else config.case
        self._normalisation: Normalisation = "none" if config.normalisation == "auto" else config.normalisation

    @classmethod
    def trainer_defaults(cls, config: SpeechRecognitionConfig, facts: TrainingFacts) -> Mapping[str, Any]:
        """Return more patience than usual: CTC first learns to say nothing, and every word stays wrong."""
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
        """Return the transcript as it is written; it may be empty: nobody speaks in the recording."""
        value = row.get("text")
        if not isinstance(value, str):
            raise BadExampleError(f"column 'text' holds {type(value).__name__}, not a transcript")
        return composed(value)

    def canonical(self, reference: str) -> str:
        """Return a transcript as the model learns to write it."""
        return spelt(reference, self._case, self.config.remove_punctuation)

    def learn(self, references: Sequence[str]) -> None:
        """Learn the alphabet, whether its script parts words by spaces, and how transcripts are written."""
        learnt = [self.canonical(reference) for reference in references]
        self._way = Ctc(Alphabet.learn(learnt), self.config.dropout)
        self._parts_words = parts_words(learnt)
        self._learnt = Transcripts.of(references)
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
        """Return how transcripts are learnt and compared; the alphabet where there is one, else the language."""
        state: dict[str, Any] = {
            "parts_words": self._parts_words,
            "case": self._case,
            "normalisation": self._normalisation,
        }
        if isinstance(self._way, Ctc):
            return {**state, "alphabet": list(self._way.alphabet.characters)}
        return {**state, "language": self._language}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state` returned."""
        self._way = Ctc(Alphabet(state.get("alphabet", ())), self.config.dropout)
        self._parts_words = bool(state.get("parts_words", True))
        self._case = state.get("case", self._case)
        self._normalisation = state.get("normalisation", self._normalisation)
        self._language = state.get("language")
        self._learnt = None

    def bind(self, backbone: Backbone) -> None:
        """Write through the backbone if it can, and settle how transcripts are learnt and compared then."""
        if not isinstance(backbone, TranscriptGenerator):
            return
        backbone.settle_language(self._language)
        self._language = backbone.language
        self._way = Generated(backbone, self._parts_words)
        if self._learnt is not None:
            self._settle(self._learnt, backbone.written_language)

    def _settle(self, references: Transcripts, language: str | None) -> None:
        """Choose what is left to ``auto``, and say so."""
        if self.config.case == "auto":
            self._case = "lower" if references.capitals else "keep"
            if references.capitals:
                note("transcripts in capitals throughout, learnt in small letters (task.case)", references.size)
        if self.config.normalisation == "auto":
            by_language: Normalisation = "english" if language == "en" else "basic"
            self._normalisation = "none" if references.marks else by_language
        note(
            f"transcripts compared after the normalisation '{self._normalisation}' (task.normalisation)",
            references.size,
        )

    @property
    def normalisation(self) -> Normalisation:
        """What transcripts are compared after."""
        return self._normalisation

    def encode(self, reference: str, example: Example) -> dict[str, Tensor]:
        """Return ``characters`` (S,) for CTC or ``tokens`` (L,) for a decoder.

        Raises:
            NoTargetError: see :meth:`Ctc.encode` and :meth:`Generated.encode`.
        """
        return self._way.encode(reference, example)

    def label_counts(self, references: Sequence[str]) -> dict[str, int]:
        """Return how often each character occurs, the most frequent first; none where tokens are written."""
        if isinstance(self._way, Generated):
            return {}
        learnt = map(self.canonical, references)
        return dict(Counter(character for reference in learnt for character in reference).most_common())

    # Model

    def build_head(self, backbone: Backbone) -> nn.Module:
        """Return the layer that spells, or for a backbone that generates a module that calls its decoder."""
        return self._way.build_head(backbone)

    def forward(self, head: nn.Module, features: Features, batch: Batch) -> dict[str, Tensor]:
        """Return the outputs of :class:`Ctc` or :class:`Generated`."""
        return self._way.forward(head, features, batch)

    def loss(self, outputs: dict[str, Tensor], batch: Batch) -> Loss:
        """Return the loss, summed."""
        return self._way.loss(outputs, batch)

    def divergence(self, outputs: dict[str, Tensor], reference: dict[str, Tensor], batch: Batch) -> Loss:
        """Return the divergence of the characters' probabilities.

        Raises:
            NotImplementedError: the transcripts are written by the backbone's decoder.
        """
        del batch
        if isinstance(self._way, Ctc):
            return self._way.divergence(outputs, reference)
        raise NotImplementedError

    # Predictions

    def decode(self, outputs: dict[str, Tensor], batch: Batch) -> list[str]:
        """Return each example's transcript."""
        del batch
        return self._way.decode(outputs)

    def baseline(self, references: Sequence[str], inputs: Iterable[Mapping[str, Any]]) -> list[str]:
        """Return silence: an empty transcript for every recording."""
        del references
        return ["" for _ in inputs]

    def score(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        """Return word and character error rate over all recordings together, and the share without any error."""
        normal = normaliser(self._normalisation)
        found, wanted = list(map(normal, predictions)), list(map(normal, references))
        right = sum(prediction == reference for prediction, reference in zip(found, wanted, strict=True))
        return {
            "wer": float(jiwer.wer(wanted, found)),
            "cer": float(jiwer.cer(wanted, found)),
            "exact_match": right / len(references),
        }

    def to_pipeline(self, prediction: str, row: Row) -> dict[str, str]:
        """Return ``{"text": …}``."""
        del row
        return {"text": prediction}
