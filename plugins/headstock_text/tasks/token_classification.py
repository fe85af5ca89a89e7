"""Token classification: entities as IOB2 tags of words (Ramshaw & Marcus 1995)."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from headstock import (
    Backbone,
    BadExampleError,
    Batch,
    Column,
    DataError,
    Details,
    Example,
    Features,
    HeadstockError,
    Loss,
    Metric,
    Request,
    Row,
    Splits,
    note,
)
from headstock.kits import Labelled, LabelledConfig, LabelSet, categorical_divergence, class_weights, read_list
from headstock_text.formats.conll import read_conll
from headstock_text.iob2 import entities, entity_types, is_tag, to_iob2
from headstock_text.samples import chinese_names, towns_and_people
from headstock_text.splitting import Span, split_characters, split_words
from headstock_text.tasks.decoding import best_paths
from headstock_text.writing import Writing, WritingConfig

IGNORED = -100
"""Target of what is only padding."""
ONE_WORD = "examples of one word alone (each row is a sentence; for one word a row, write a CoNLL file)"
CHARACTERS = 0.98
"""From this fraction of words that are one character, the training data has a character a line."""
SINGLE_CHARACTERS = "words that are single characters, so that texts are split into characters too in prediction"

_SEPARATORS = ",;|"


class TokenClassificationConfig(LabelledConfig, WritingConfig):
    """Options of the ``token-classification`` task."""

    sample: Literal["en", "zh"] = Field("en", description="language of the task's own sample")


class TokenClassification(Labelled):
    """A tag for each word from a linear layer on the features of the word's first token (Devlin et al. 2019).

    A prediction is ``{"tags": [...], "scores": [...]}`` for the words that the backbone saw; words beyond its length
    limit count as ``O``. Of all tag sequences that IOB2 allows, the most probable one is taken.
    """

    Config = TokenClassificationConfig
    modality: ClassVar[str] = "text"
    labels_are: ClassVar[str] = "entities"
    pipeline_tag: ClassVar[str | None] = "token-classification"
    default_backbone: ClassVar[str] = "minilm"
    fallback_backbones: ClassVar[tuple[str, ...]] = ("use-multilingual", "bilstm")
    columns: ClassVar[tuple[Column, ...]] = (
        Column(name="words", role="input", summary="the words, as a list; for prediction also the text itself"),
        Column(name="tags", role="target", summary="one tag a word, such as B-PER, I-PER or O, as a list"),
    )
    formats: ClassVar[Mapping[str, tuple[str, ...]]] = {"conll": (".conll", ".iob", ".bio")}
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(name="f1", better="higher", summary="F1 over entities: right are those with the right words and type"),
        Metric(name="precision", better="higher", summary="fraction of the predicted entities that are right"),
        Metric(name="recall", better="higher", summary="fraction of the true entities that are found"),
        Metric(name="macro_f1", better="higher", summary="mean over entity types of F1"),
        Metric(name="macro_precision", better="higher", summary="mean over entity types of the precision"),
        Metric(name="macro_recall", better="higher", summary="mean over entity types of the recall"),
        Metric(name="accuracy", better="higher", summary="fraction of the words with the right tag"),
    )

    def __init__(self, config: TokenClassificationConfig) -> None:
        super().__init__(config)
        self._writing = Writing(config)
        self._characters = False

    # Data

    def sample(self) -> Splits:
        """Return sentences in which only the context tells whether a name is a person, a place or a firm."""
        return chinese_names.splits() if self.config.sample == "zh" else towns_and_people.splits()

    def read(self, request: Request) -> Splits | None:
        """Return the sentences of a CoNLL file."""
        named = request.path.suffix.casefold() in self.formats["conll"]
        return read_conll(request) if request.path.is_file() and (named or request.format == "conll") else None

    def inputs(self, row: Row) -> Mapping[str, Any]:
        """Return ``words``; a text is split into them, or into characters if those of the training data are such."""
        words = [span.word for span in self._spans(row)[1]]
        return {"words": self._writing.words(words) if self._writing.changes else words}

    def reference(self, row: Row) -> list[str]:
        """Return the tags as IOB2, one a word; a text holds a list, or tags apart by blanks or commas."""
        tags = _tags(row)
        if tags is None:
            raise BadExampleError("no tags")
        if not isinstance(tags, list | tuple):
            raise BadExampleError(f"column 'tags' holds {type(tags).__name__}, not a list of tags")
        for tag in tags:
            if isinstance(tag, int):
                raise BadExampleError(f"tag {tag} is a number without a name; write names, such as B-PER or O")
            if not isinstance(tag, str):
                raise BadExampleError(f"column 'tags' holds {type(tag).__name__} {tag!r}, where a tag should be")
        words = len(self._spans(row)[1])
        if len(tags) != words:
            raise BadExampleError(f"{words} words but {len(tags)} tags; each word needs one tag")
        if words == 1 and isinstance(row["words"], str):
            note(ONE_WORD)
        try:
            return to_iob2([unicodedata.normalize("NFC", tag.strip()) for tag in tags])
        except ValueError as error:
            raise BadExampleError(str(error)) from error

    def learn(self, references: Sequence[list[str]]) -> None:
        """Learn the entity types; each has the labels ``B-type`` and ``I-type``."""
        seen = [tag for reference in references for tag in reference]
        types = entity_types(seen)
        if not types:
            raise DataError("the training data has no entity: every tag is O")
        self.labels = LabelSet(["O", *(f"{prefix}-{kind}" for kind in types for prefix in "BI")])
        option = self.config.class_weights
        if option == "balanced":
            # A label that never occurs (I-x where all entities are one word) has no frequency, and weighs 1.
            present = sorted(set(seen))
            option = dict(zip(present, class_weights(option, present, seen) or [], strict=True))
        elif isinstance(option, Mapping):
            # A type stands for both of its tags.
            tags = {kind: (f"B-{kind}", f"I-{kind}") for kind in types}
            option = {tag: weight for name, weight in option.items() for tag in tags.get(name, (name,))}
        self.weights = class_weights(option, self.labels.names, seen)

    def learn_inputs(self, inputs: Iterable[Mapping[str, Any]]) -> None:
        """Learn whether the training data has a character a line, as Chinese has, so that texts are split alike."""
        lengths = Counter(len(split_characters(word)) for each in inputs for word in each["words"])
        self._characters = lengths[1] >= CHARACTERS * lengths.total()
        note(SINGLE_CHARACTERS, lengths[1] if self._characters else 0)

    def state(self) -> dict[str, Any]:
        """Return labels, class weights, and whether words are characters."""
        return {**super().state(), "characters": self._characters}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state` returned."""
        super().restore(state)
        self._characters = state.get("characters", False)

    def encode(self, reference: list[str], example: Example) -> dict[str, Tensor]:
        """Return ``tags`` (W,): the label number of each word that the backbone kept."""
        if "word_starts" not in example:
            raise HeadstockError("this backbone gives no word_starts, without which words cannot be tagged")
        kept = len(example["word_starts"])
        return {"tags": torch.tensor([self.labels.index(tag) for tag in reference][:kept], dtype=torch.int64)}

    def label_counts(self, references: Sequence[list[str]]) -> dict[str, int]:
        """Return the number of entities of each type."""
        counts = Counter(tag[2:] for reference in references for tag in reference if tag.startswith("B-"))
        return {name: counts[name] for name in sorted(counts)}

    def baseline(self, references: Sequence[list[str]], inputs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the most frequent tag, which is ``O`` nearly always, for every word."""
        counts = Counter(tag for reference in references for tag in reference)
        (tag, count), *_ = counts.most_common(1)
        share = round(count / counts.total(), 6)
        return [{"tags": [tag] * len(each["words"]), "scores": [share] * len(each["words"])} for each in inputs]

    # Model

    def build_head(self, backbone: Backbone) -> nn.Module:
        """Return dropout and a linear layer for the features of one word."""
        return nn.Sequential(nn.Dropout(self.config.dropout), nn.Linear(backbone.feature_dim, len(self.labels)))

    def forward(self, head: nn.Module, features: Features, batch: Batch) -> dict[str, Tensor]:
        """Return ``logits`` (B, W, labels)."""
        starts = batch.inputs["word_starts"].clamp(min=0).unsqueeze(-1)
        words = features.sequence.take_along_dim(starts, dim=1)
        return {"logits": head(words)}

    def loss(self, outputs: dict[str, Tensor], batch: Batch) -> Loss:
        """Return cross-entropy summed over words, and the number (or weight) of the words."""
        logits, target = outputs["logits"].float().flatten(0, 1), batch.targets["tags"].flatten()
        weights = self.weights_on(logits.device)
        total = F.cross_entropy(
            logits,
            target,
            weight=weights,
            ignore_index=IGNORED,
            label_smoothing=self.config.label_smoothing,
            reduction="sum",
        )
        real = target != IGNORED
        if weights is None:
            return Loss(total, real.sum().float())
        return Loss(total, (weights[target.clamp(min=0)] * real).sum())

    def divergence(self, outputs: dict[str, Tensor], reference: dict[str, Tensor], batch: Batch) -> Loss:
        """Return the Kullback-Leibler divergence of the tags' probabilities, summed over words by their weight."""
        target = batch.targets["tags"]
        real, weights = target != IGNORED, self.weights_on(target.device)
        counted = real if weights is None else weights[target.clamp(min=0)] * real
        return categorical_divergence(outputs["logits"], reference["logits"], counted)

    # Predictions

    def decode(self, outputs: dict[str, Tensor], batch: Batch) -> list[dict[str, Any]]:
        """Return for each example ``tags`` and ``scores`` (probabilities of these tags) of the words it kept."""
        real = batch.inputs["word_starts"] >= 0
        # Padding must not have a say in the best path, and has none where all labels score the same.
        scores = outputs["logits"].log_softmax(dim=-1) * real.unsqueeze(-1)
        if scores.shape[1] == 0:
            return [{"tags": [], "scores": []} for _ in range(batch.size)]
        paths = best_paths(scores, self.labels.names)
        chosen = scores.take_along_dim(paths.unsqueeze(-1), dim=2).squeeze(-1).exp()
        predictions = []
        for path, values, kept in zip(paths.tolist(), chosen.tolist(), real.sum(dim=1).tolist(), strict=True):
            tags = [self.labels.names[number] for number in path[:kept]]
            predictions.append({"tags": tags, "scores": [round(value, 6) for value in values[:kept]]})
        return predictions

    def score(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        """Return precision, recall and F1 over entities as conlleval counts them (micro), macro, and word accuracy."""
        from seqeval.metrics import accuracy_score
        from seqeval.metrics.sequence_labeling import precision_recall_fscore_support

        found = _filled(predictions, references)
        names = ("precision", "recall", "f1")
        micro = precision_recall_fscore_support(references, found, average="micro", zero_division=0)
        figures = {name: float(value) for name, value in zip(names, micro[:3], strict=True)}
        types = self.details(predictions, references).per_class.values()
        figures |= {f"macro_{name}": fmean(each[name] for each in types) if types else 0.0 for name in names}
        figures["accuracy"] = float(accuracy_score(references, found))
        return {metric.name: figures[metric.name] for metric in self.metrics}

    def details(self, predictions: Sequence[Any], references: Sequence[Any]) -> Details:
        """Return precision, recall, F1 and number of entities per type."""
        from seqeval.metrics.sequence_labeling import precision_recall_fscore_support

        found = _filled(predictions, references)
        types = entity_types(tag for tags in (*references, *found) for tag in tags)
        # Without an average, seqeval gives the types in sorted order.
        columns = precision_recall_fscore_support(references, found, average=None, zero_division=0)
        return Details(
            per_class={
                name: dict(zip(("precision", "recall", "f1", "support"), map(float, figures), strict=True))
                for name, *figures in zip(types, *columns, strict=True)
            }
        )

    def to_pipeline(self, prediction: Any, row: Row) -> list[dict[str, Any]]:
        """Return the entities with their position in the text.

        A list of words is read as joined by spaces, one of characters as joined by nothing.
        """
        text, spans = self._spans(row)
        found = []
        for entity in entities(prediction["tags"]):
            start, end = spans[entity.start].start, spans[entity.end - 1].end
            scores = prediction["scores"][entity.start : entity.end]
            found.append(
                {
                    "entity_group": entity.type,
                    "score": round(sum(scores) / len(scores), 6),
                    "word": text[start:end],
                    "start": start,
                    "end": end,
                }
            )
        return found

    def _spans(self, row: Row) -> tuple[str, list[Span]]:
        """Return the text of a row and its words.

        Raises:
            BadExampleError: there are no words, or what is there is neither a text nor a list of words.
        """
        return _spans(row, split_characters, "") if self._characters else _spans(row, split_words, " ")


def _spans(row: Row, split: Callable[[str], list[Span]], between: str) -> tuple[str, list[Span]]:
    words = row.get("words")
    if words is None:
        raise BadExampleError("no words in column 'words'")
    if isinstance(words, str):
        written = read_list(words)
        if not written or not all(isinstance(word, str) for word in written):
            return words, _split(words, row, split)
        words = written
    if not isinstance(words, list | tuple):
        raise BadExampleError(f"column 'words' holds {type(words).__name__}, not a list of words or a text")
    if not words:
        raise BadExampleError("the list of words is empty")
    spans = []
    position = 0
    for number, word in enumerate(words, 1):
        if not isinstance(word, str):
            raise BadExampleError(f"word {number} is {type(word).__name__} {word!r}, not text")
        spans.append(Span(word, position, position + len(word)))
        position += len(word) + len(between)
    return between.join(words), spans


def _split(text: str, row: Row, split: Callable[[str], list[Span]]) -> list[Span]:
    """Return the words of a text: cut at blanks, commas, … where that alone gives as many words as there are tags."""
    tags = _tags(row)
    spans = split(text) if tags is None else split_words(text)
    if not spans:
        raise BadExampleError("the text in column 'words' is empty")
    if isinstance(tags, list | tuple) and len(tags) != len(spans):
        for word in (r"\S+", *(rf"[^\s{mark}](?:[^{mark}]*[^\s{mark}])?" for mark in _SEPARATORS)):
            found = [Span(match[0], match.start(), match.end()) for match in re.finditer(word, text)]
            if len(found) == len(tags):
                return found
    return spans


def _tags(row: Row) -> Any:
    """Return a row's tags, those of a text as a list."""
    tags = row.get("tags")
    if not isinstance(tags, str):
        return tags
    written = read_list(tags)
    if written is not None:
        return written
    for mark in _SEPARATORS:
        parts = [part.strip() for part in tags.split(mark)]
        if len(parts) > 1 and all(map(is_tag, parts)):
            return parts
    return tags.split()


def _filled(predictions: Sequence[Any], references: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return predicted tags with O for the words that the backbone did not see."""
    return [
        [*prediction["tags"], *["O"] * (len(reference) - len(prediction["tags"]))]
        for prediction, reference in zip(predictions, references, strict=True)
    ]
