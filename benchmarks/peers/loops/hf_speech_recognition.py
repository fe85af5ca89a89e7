"""Speech recognition with the Trainer, after ``run_speech_recognition_ctc.py`` of transformers.

python benchmarks/peers/run_loop.py hf_speech_recognition benchmarks/peers/recipes/speech_recognition.yaml

The network's definition is Headstock's ``crnn``, so that both sides surely train the same; transformers has no such.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import jiwer
import soundfile
import torch
import torch.nn.functional as F
from datasets import load_dataset
from hf_common import limited, run_script
from reference import Job, Reference
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import Wav2Vec2FeatureExtractor
from transformers.trainer_utils import EvalPrediction

from headstock_speech.backbones.crnn import Crnn, CrnnConfig

BLANK = 0
IGNORED = -100


class CtcModel(nn.Module):
    """A network that hears waveforms, dropout, a linear layer, and the CTC loss as models of transformers have it."""

    def __init__(self, encoder: Crnn, characters: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(encoder.feature_dim, characters + 1)

    def forward(self, input_values: Tensor, attention_mask: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """Return ``logits`` (B, T, characters + 1), their real ``frames`` (B,) and, with labels (B, S), the loss."""
        lengths = attention_mask.sum(dim=1)
        spectrogram = self.encoder.spectrogram(input_values, lengths)
        frames = torch.tensor([self.encoder.frames(length) for length in lengths.tolist()], device=lengths.device)
        features = self.encoder.encode(spectrogram, {"lengths": lengths, "frames": frames})
        logits = self.classifier(self.dropout(features.sequence))
        if labels is None:
            return {"logits": logits, "frames": frames}
        real = labels != IGNORED
        loss = F.ctc_loss(
            logits.float().log_softmax(dim=-1).transpose(0, 1),
            labels.masked_select(real),
            frames,
            real.sum(dim=1),
            blank=BLANK,
            reduction="mean",
        )
        return {"loss": loss, "logits": logits, "frames": frames}


def prepare(job: Job) -> Reference:
    """Load data, decode it once, make the model."""
    folder = Path(job.data["path"])
    files = {"train": "train.csv", "validation": "valid.csv", "test": "test.csv"}
    raw = load_dataset("csv", data_files={name: str(folder / file) for name, file in files.items()})
    alphabet = sorted(set("".join(raw["train"]["text"])))
    numbers = {character: number for number, character in enumerate(alphabet, start=BLANK + 1)}
    rate = job.backbone["sampling_rate"]
    extractor = Wav2Vec2FeatureExtractor(sampling_rate=rate, do_normalize=False, return_attention_mask=True)

    def prepare_row(row: dict[str, Any]) -> dict[str, Any]:
        samples, recorded = soundfile.read(folder / row["file_name"], dtype="float32")
        values = extractor(samples, sampling_rate=recorded).input_values[0]
        return {"input_values": values, "labels": [numbers[character] for character in row["text"]]}

    splits = {
        name: limited(split, job.limit).map(prepare_row, remove_columns=split.column_names)
        for name, split in raw.items()
    }
    if job.variant != "defaults":
        # arrays instead of lists of numbers: a batch is put together in a third of the time
        splits = {name: split.with_format("numpy") for name, split in splits.items()}
    options = {name: value for name, value in job.backbone.items() if name != "name"}
    encoder = Crnn.create(CrnnConfig.model_validate(options), ())

    def collate(rows: list[dict[str, Any]]) -> dict[str, Tensor]:
        batch = extractor.pad([{"input_values": row["input_values"]} for row in rows], return_tensors="pt")
        labels = [torch.as_tensor(row["labels"]) for row in rows]
        return {**batch, "labels": pad_sequence(labels, batch_first=True, padding_value=IGNORED)}

    def score(evaluation: EvalPrediction) -> dict[str, float]:
        chosen = [spell(path, alphabet) for path in evaluation.predictions.tolist()]
        truth = ["".join(alphabet[n - 1] for n in row if n != IGNORED) for row in evaluation.label_ids.tolist()]
        return {"wer": float(jiwer.wer(truth, chosen)), "cer": float(jiwer.cer(truth, chosen))}

    return Reference(
        model=CtcModel(encoder, len(alphabet), job.task["dropout"]),
        splits=splits,
        collator=collate,
        score=score,
        metric="wer",
        better="lower",
        processing_class=extractor,
        reduce=best_path,
        best={"train_sampling_strategy": "group_by_length"},
    )


def best_path(outputs: tuple[Tensor, Tensor], labels: Tensor) -> Tensor:
    """Return the best character of each frame (B, T), and behind the end of an example the number that is ignored."""
    logits, frames = outputs
    place = torch.arange(logits.shape[1], device=frames.device)
    return logits.argmax(dim=-1).masked_fill(place >= frames.unsqueeze(1), IGNORED)


def spell(path: list[int], alphabet: list[str]) -> str:
    """Return what a best path says: repetitions count once, blanks not at all."""
    numbers = [number for number, _ in groupby(path) if number not in (BLANK, IGNORED)]
    return " ".join("".join(alphabet[number - 1] for number in numbers).split())


def main() -> None:
    """Read the arguments, train, write the record."""
    run_script(prepare)
