"""Text classification with the Trainer, after ``run_glue.py`` of transformers.

python benchmarks/peers/run_loop.py hf_text_classification benchmarks/peers/recipes/text_classification.yaml
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch.nn.functional as F
from datasets import load_dataset
from hf_common import limited, run_script
from peft import LoraConfig, get_peft_model
from reference import Job, Reference
from sklearn.metrics import accuracy_score, f1_score
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer, DataCollatorWithPadding
from transformers.trainer_utils import EvalPrediction


class MeanPooledClassifier(nn.Module):
    """An encoder, the mean of its token vectors, dropout, a linear layer: the model that the recipe describes."""

    def __init__(self, encoder: nn.Module, width: int, labels: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.frozen = not any(parameter.requires_grad for parameter in encoder.parameters())
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(width, labels)

    def train(self, mode: bool = True) -> Self:
        """A frozen encoder has no dropout, so that a probe is what the field means by it."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Return ``logits`` (B, labels) and, with labels (B,), their mean cross-entropy."""
        output = self.encoder(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
        mask = attention_mask.unsqueeze(-1).to(output.last_hidden_state.dtype)
        pooled = (output.last_hidden_state * mask).sum(dim=1) / mask.sum(dim=1)
        logits = self.classifier(self.dropout(pooled))
        if labels is None:
            return {"logits": logits}
        return {"loss": F.cross_entropy(logits.float(), labels), "logits": logits}


def prepare(job: Job) -> Reference:
    """Load data and model, tokenize once."""
    folder = Path(job.data["path"])
    files = {"train": "train.csv", "validation": "valid.csv", "test": "test.csv"}
    paths = {name: str(folder / file) for name, file in files.items()}
    raw = load_dataset("csv", data_files=paths, keep_default_na=False)
    names = sorted(raw["train"].unique("label"))
    numbers = {name: number for number, name in enumerate(names)}
    tokenizer = AutoTokenizer.from_pretrained(job.backbone["model"])

    def preprocess(rows: dict[str, list[Any]]) -> dict[str, Any]:
        encoded = tokenizer(rows["text"], truncation=True, max_length=job.backbone["max_length"])
        return {**encoded, "labels": [numbers[name] for name in rows["label"]]}

    splits = {
        name: limited(split, job.limit).map(preprocess, batched=True, remove_columns=split.column_names)
        for name, split in raw.items()
    }
    encoder = adapted(
        AutoModel.from_pretrained(job.backbone["model"], dtype="float32", add_pooling_layer=False), job.adapter
    )
    model = MeanPooledClassifier(encoder, encoder.config.hidden_size, len(names), job.task["dropout"])
    return Reference(
        model=model,
        splits=splits,
        collator=DataCollatorWithPadding(tokenizer),
        score=score,
        metric="accuracy",
        better="higher",
        processing_class=tokenizer,
        best={"train_sampling_strategy": "group_by_length"},
    )


def adapted(encoder: Any, adapter: Mapping[str, Any]) -> Any:
    """Return the encoder as it is, frozen, or with peft's low-rank updates of every linear layer."""
    match adapter["name"]:
        case "full":
            return encoder
        case "linear-probe":
            return encoder.requires_grad_(False)
        case "lora":
            settings = LoraConfig(
                r=adapter["r"],
                lora_alpha=adapter["alpha"],
                lora_dropout=adapter["dropout"],
                target_modules="all-linear",
            )
            return get_peft_model(encoder, settings)
    raise SystemExit(f"the reference script knows no adapter '{adapter['name']}'")


def score(evaluation: EvalPrediction) -> dict[str, float]:
    """Return accuracy and the mean over labels of F1."""
    chosen = np.argmax(evaluation.predictions, axis=1)
    truth = evaluation.label_ids
    return {
        "accuracy": float(accuracy_score(truth, chosen)),
        "f1": float(f1_score(truth, chosen, average="macro", zero_division=0)),
    }


def main() -> None:
    """Read the arguments, train, write the record."""
    run_script(prepare)
