"""Token classification with the Trainer, after ``run_ner.py`` of transformers.

python benchmarks/peers/run_loop.py hf_token_classification benchmarks/peers/recipes/token_classification.yaml
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from datasets import Dataset
from hf_common import limited, run_script
from reference import Job, Reference
from seqeval.metrics import f1_score, precision_score, recall_score
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer, DataCollatorForTokenClassification
from transformers.trainer_utils import EvalPrediction

IGNORED = -100
"""Label of tokens that do not start a word."""

BEST_TRAINING_LENGTH = 128
"""Tokens of a training sentence at most in the variant ``best``, as is usual: batches are of a fixed number of
sentences, and the one very long sentence would make all others of its batch as long as itself."""


class TokenClassifier(nn.Module):
    """An encoder, dropout, a linear layer on every token; only the first token of a word has a label."""

    def __init__(self, encoder: nn.Module, width: int, labels: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(width, labels)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Return ``logits`` (B, T, labels) and, with labels (B, T), the mean cross-entropy of those that count."""
        output = self.encoder(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
        logits = self.classifier(self.dropout(output.last_hidden_state))
        if labels is None:
            return {"logits": logits}
        loss = F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
        return {"loss": loss, "logits": logits}


def prepare(job: Job) -> Reference:
    """Load data and model, tokenize once."""
    folder = Path(job.data["path"])
    files = {"train": "train.conll", "validation": "valid.conll", "test": "test.conll"}
    raw = {name: limited(read_conll(folder / file), job.limit) for name, file in files.items()}
    tags = {tag for tags in raw["train"]["tags"] for tag in tags}
    names = sorted(tags, key=lambda tag: (tag != "O", tag[2:], tag))  # as Headstock numbers them, for check.py
    numbers = {name: number for number, name in enumerate(names)}
    tokenizer = AutoTokenizer.from_pretrained(job.backbone["model"])

    def tokenize_and_align_labels(rows: dict[str, list[Any]], max_length: int) -> dict[str, Any]:
        encoded = tokenizer(rows["words"], truncation=True, max_length=max_length, is_split_into_words=True)
        labels = [
            first_tokens(encoded.word_ids(index), [numbers[tag] for tag in tags])
            for index, tags in enumerate(rows["tags"])
        ]
        return {**encoded, "labels": labels}

    lengths = dict.fromkeys(raw, job.backbone["max_length"])
    if job.variant != "defaults":
        lengths["train"] = min(BEST_TRAINING_LENGTH, lengths["train"])
    splits = {
        name: split.map(
            tokenize_and_align_labels,
            batched=True,
            fn_kwargs={"max_length": lengths[name]},
            remove_columns=split.column_names,
        )
        for name, split in raw.items()
    }
    encoder = AutoModel.from_pretrained(job.backbone["model"], dtype="float32", add_pooling_layer=False)
    model = TokenClassifier(encoder, encoder.config.hidden_size, len(names), job.task["dropout"])

    def score(evaluation: EvalPrediction) -> dict[str, float]:
        chosen = [
            [names[number] for number, label in zip(row, labels, strict=True) if label != IGNORED]
            for row, labels in zip(evaluation.predictions, evaluation.label_ids, strict=True)
        ]
        truth = [[names[label] for label in labels if label != IGNORED] for labels in evaluation.label_ids]
        return {
            "f1": float(f1_score(truth, chosen, zero_division=0)),
            "precision": float(precision_score(truth, chosen, zero_division=0)),
            "recall": float(recall_score(truth, chosen, zero_division=0)),
        }

    return Reference(
        model=model,
        splits=splits,
        collator=DataCollatorForTokenClassification(tokenizer),
        score=score,
        metric="f1",
        better="higher",
        processing_class=tokenizer,
        reduce=lambda logits, labels: logits.argmax(dim=-1),
        best={"train_sampling_strategy": "group_by_length"},
    )


def first_tokens(words: Sequence[int | None], labels: Sequence[int]) -> list[int]:
    """Return a label for each token: its word's at the first token of a word, elsewhere one that does not count."""
    before = [None, *words[:-1]]
    return [IGNORED if word is None or word == last else labels[word] for word, last in zip(words, before, strict=True)]


def read_conll(path: Path) -> Dataset:
    """Return ``words`` and ``tags`` of a file with a word and its tag a line and a blank line between sentences."""
    blocks = path.read_text("utf-8").strip().split("\n\n")
    sentences = [[line.split("\t") for line in block.splitlines()] for block in blocks]
    return Dataset.from_dict(
        {
            "words": [[word for word, _ in sentence] for sentence in sentences],
            "tags": [[tag for _, tag in sentence] for sentence in sentences],
        }
    )


def main() -> None:
    """Read the arguments, train, write the record."""
    run_script(prepare)
