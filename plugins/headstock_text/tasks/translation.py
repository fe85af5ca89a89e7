"""The ``translation`` task: a text generated from the encoded text of another language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from headstock import (
    Backbone,
    Batch,
    Column,
    Example,
    Features,
    HeadstockError,
    Loss,
    Metric,
    Row,
    Splits,
    Task,
    note,
)
from headstock_text.attention import AttentionConfig
from headstock_text.generation import Decoder, Limits, TextGenerator
from headstock_text.samples.number_words import number_splits
from headstock_text.splitting import clean
from headstock_text.subwords import END, PADDING, START, Subwords
from headstock_text.tasks.bleu_tokenizer import bleu_tokenizer
from headstock_text.tasks.cells import read_text
from headstock_text.writing import Writing, WritingConfig

IGNORED = -100
"""Padding of target tokens."""


class TranslationConfig(AttentionConfig, WritingConfig):
    """Options of the ``translation`` task; those of layers are for a decoder from scratch, of writing for sources."""

    vocabulary: int = Field(
        4000, ge=300, le=1_000_000, description="target subwords at most; a backbone that generates text brings its own"
    )
    label_smoothing: float = Field(
        0.1, ge=0, lt=1, description="fraction of the target spread evenly over all subwords"
    )
    beams: int = Field(4, ge=1, le=32, description="hypotheses that are kept while a translation is searched for")
    max_length: int = Field(128, ge=8, le=65_536, description="target subwords at most")
    length_ratio: float = Field(
        2.0,
        gt=0,
        le=1000,
        description="target subwords at most for each of the source, beside ten; unless the backbone generates",
    )
    bleu_tokenizer: Literal["auto", "13a", "intl", "zh", "ja-mecab", "ko-mecab", "char"] = Field(
        "auto",
        description="how sacrebleu cuts words: auto goes by the script of the training targets, and takes 13a where "
        "words have spaces",
    )


class Translation(Task):
    """Teacher forcing in training, beam search for predictions (Sutskever et al. 2014, Vaswani et al. 2017).

    A backbone that generates text (an encoder-decoder) does so with its own decoder and tokens; nothing else is
    trained then, and the head only calls that decoder. Any other backbone gets a transformer decoder from scratch,
    whose subwords are learnt from the training references. BLEU and chrF are those of sacrebleu.
    """

    Config = TranslationConfig
    config: TranslationConfig
    modality: ClassVar[str] = "text"
    pipeline_tag: ClassVar[str | None] = "translation"
    default_backbone: ClassVar[str] = "subword-transformer"
    columns: ClassVar[tuple[Column, ...]] = (
        Column(name="source", role="input", summary="the text"),
        Column(name="target", role="target", summary="its translation"),
    )
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(name="bleu", better="higher", summary="BLEU of all translations together, 0 to 100 (sacrebleu)"),
        Metric(name="chrf", better="higher", summary="chrF2 of all translations together, 0 to 100 (sacrebleu)"),
        Metric(name="exact_match", better="higher", summary="fraction of translations that are the reference"),
    )

    def __init__(self, config: TranslationConfig) -> None:
        super().__init__(config)
        self.subwords: Subwords | None = None
        self._tokenizer = "13a"
        self._writing = Writing(config)
        self._generator: TextGenerator | None = None
        self._limits = Limits(config.beams, config.max_length, config.length_ratio)

    # Data

    def sample(self) -> Splits:
        """Return numbers in English and German words."""
        return number_splits()

    def inputs(self, row: Row) -> Mapping[str, Any]:
        """Return ``{"text": source}``."""
        return {"text": self._writing.text(clean(read_text(row, "source")).strip())}

    def reference(self, row: Row) -> str:
        """Return the translation."""
        return clean(read_text(row, "target")).strip()

    def learn(self, references: Sequence[str]) -> None:
        """Learn the target subwords, and how BLEU cuts words of the targets' script."""
        self.subwords = Subwords.learn(references, self.config.vocabulary)
        if self.config.bleu_tokenizer == "auto":
            self._tokenizer = bleu_tokenizer(references)

    @property
    def bleu_tokenizer(self) -> str:
        """How sacrebleu cuts words."""
        chosen = self.config.bleu_tokenizer
        return self._tokenizer if chosen == "auto" else chosen

    def state(self) -> dict[str, Any]:
        """Return the target subwords and BLEU's tokenizer."""
        subwords = None if self.subwords is None else self.subwords.write()
        return {"subwords": subwords, "bleu_tokenizer": self._tokenizer}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back the target subwords and BLEU's tokenizer."""
        self.subwords = None if state["subwords"] is None else Subwords.read(state["subwords"])
        self._tokenizer = state.get("bleu_tokenizer", "13a")

    def bind(self, backbone: Backbone) -> None:
        """Generate through the backbone if it can; its tokens then replace those learnt."""
        self._generator = backbone if isinstance(backbone, TextGenerator) else None
        if self._generator is not None:
            self.subwords = None
            self._limits = self._limits._replace(
                max_tokens=min(self.config.max_length, self._generator.max_target_tokens)
            )

    def encode(self, reference: str, example: Example) -> dict[str, Tensor]:
        """Return ``tokens`` (L,), the end mark last."""
        del example
        if self._generator is not None:
            ids = self._generator.target_ids(reference)
        else:
            ids = [*self._own().ids(reference), END]
        longest = self._limits.max_tokens
        note(f"target texts cut to {longest} tokens (task.max_length)", int(len(ids) > longest))
        return {"tokens": torch.tensor([*ids[:-1][: longest - 1], ids[-1]])}

    def _own(self) -> Subwords:
        if self.subwords is None:
            raise HeadstockError("the task has not learnt its target subwords")
        return self.subwords

    # Model

    def build_head(self, backbone: Backbone) -> nn.Module:
        """Return the decoder; for a backbone that generates text, a module that calls its decoder."""
        if isinstance(backbone, TextGenerator):
            return BackboneGenerator(backbone)
        config = self.config
        size = len(self._own())
        return Decoder(size, backbone.feature_dim, config.dim, config.heads, config.layers, config.dropout)

    def forward(self, head: nn.Module, features: Features, batch: Batch) -> dict[str, Tensor]:
        """Return ``losses`` (B, L) of tokens where there are targets, and in evaluation ``generated`` (B, M).

        The logits, as many as the vocabulary for each token, stay here.
        """
        outputs = {}
        if batch.targets:
            target = batch.targets["tokens"]
            outputs["losses"] = F.cross_entropy(
                head(target, features).float().transpose(1, 2),
                target,
                ignore_index=IGNORED,
                label_smoothing=self.config.label_smoothing,
                reduction="none",
            )
        if not head.training:
            generator: Any = head
            outputs["generated"] = generator.search(features, self._limits)
        return outputs

    def loss(self, outputs: dict[str, Tensor], batch: Batch) -> Loss:
        """Return cross-entropy summed over target tokens, and their number."""
        return Loss(outputs["losses"].sum(), (batch.targets["tokens"] != IGNORED).sum().float())

    # Predictions

    def decode(self, outputs: dict[str, Tensor], batch: Batch) -> list[str]:
        """Return each example's translation."""
        del batch
        rows = outputs["generated"].tolist()
        if self._generator is not None:
            return [self._generator.target_text(row) for row in rows]
        subwords = self._own()
        return [subwords.text([token for token in row if token not in (PADDING, START, END)]) for row in rows]

    def baseline(self, references: Sequence[str], inputs: Iterable[Mapping[str, Any]]) -> list[str]:
        """Return the sources as they stand: names and numbers are the same in many languages."""
        del references
        return [str(each["text"]) for each in inputs]

    def score(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        """Return corpus BLEU and chrF, and the fraction of exact matches."""
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF

        right = sum(one == other for one, other in zip(predictions, references, strict=True))
        bleu, found = BLEU(tokenize=self.bleu_tokenizer), list(predictions)
        return {
            "bleu": float(bleu.corpus_score(found, [list(references)]).score),
            "chrf": float(CHRF().corpus_score(found, [list(references)]).score),
            "exact_match": right / len(references),
        }

    def to_pipeline(self, prediction: str, row: Row) -> dict[str, str]:
        """Return ``{"translation_text": …}``."""
        del row
        return {"translation_text": prediction}


class BackboneGenerator(nn.Module):
    """Calls the decoder of the backbone. Its parameters are the backbone's, and not named twice."""

    def __init__(self, backbone: TextGenerator) -> None:
        super().__init__()
        self._backbone = (backbone,)  # in a tuple, so that torch does not take it for a part of this module

    def forward(self, targets: Tensor, features: Features) -> Tensor:
        """Return logits (B, L, V)."""
        return self._backbone[0].teacher_forcing(targets, features)

    def search(self, features: Features, limits: Limits) -> Tensor:
        """Return tokens (B, M)."""
        return self._backbone[0].generate(features, limits)
