"""The same model and data trained by Lightning, as its own examples of tuning transformers do it.

python benchmarks/peers/run_loop.py hf_text_classification benchmarks/peers/recipes/text_classification.yaml \\
    --variant lightning
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import get_scheduler
from transformers.trainer_pt_utils import LengthGroupedSampler, get_parameter_names, nested_concat
from transformers.trainer_utils import EvalPrediction

if TYPE_CHECKING:
    from reference import Job, Reference

PRECISIONS: Mapping[str, Any] = {"fp32": "32-true", "bf16": "bf16-mixed"}
IGNORED = -100


class Clock(Callback):
    """Adds up the time from before an epoch's first batch is loaded to behind its last optimizer step."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began = 0.0

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start."""
        self._began = time.perf_counter()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop behind the last batch, for evaluation comes inside Lightning's epoch."""
        if trainer.is_last_batch:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.seconds += time.perf_counter() - self._began


class Tuned(lightning.LightningModule):
    """A reference's model with AdamW, decay of matrices alone and the recipe's schedule, as the Trainer has them."""

    def __init__(self, job: Job, reference: Reference, steps: int) -> None:
        super().__init__()
        self.model = reference.model
        self._job = job
        self._reference = reference
        self._steps = steps
        self._found: list[tuple[Any, Tensor]] = []
        self.scores: dict[str, float] = {}

    def training_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> Tensor:
        """Return the mean loss of a batch."""
        loss: Tensor = self.model(**batch)["loss"]
        return loss

    def on_validation_epoch_start(self) -> None:
        """Forget the last evaluation."""
        self._found = []

    def validation_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> None:
        """Keep what the score needs."""
        outputs = {name: value for name, value in self.model(**batch).items() if name != "loss"}
        logits: Any = tuple(outputs.values()) if len(outputs) > 1 else outputs["logits"]
        if self._reference.reduce is not None:
            logits = self._reference.reduce(logits, batch["labels"])
        self._found.append((logits.float() if logits.is_floating_point() else logits, batch["labels"]))

    def on_validation_epoch_end(self) -> None:
        """Compute and log the metrics."""
        predictions, labels = self._found[0]
        for more, truth in self._found[1:]:
            predictions = nested_concat(predictions, more, IGNORED)
            labels = nested_concat(labels, truth, IGNORED)
        self.scores = self._reference.score(EvalPrediction(predictions.cpu().numpy(), labels.cpu().numpy()))
        self.log_dict(self.scores)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip here, for Lightning refuses to beside a fused optimizer, which is much the faster one."""
        nn.utils.clip_grad_norm_(self.parameters(), self._job.trainer["max_grad_norm"])

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return AdamW and the schedule, stepped by optimizer step."""
        settings = self._job.trainer
        decayed = set(get_parameter_names(self.model, [nn.LayerNorm], [r"bias", r"layernorm", r"rmsnorm"]))
        named = [(name, value) for name, value in self.model.named_parameters() if value.requires_grad]
        groups = [
            {"params": [value for name, value in named if name in decayed], "weight_decay": settings["weight_decay"]},
            {"params": [value for name, value in named if name not in decayed], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=settings["learning_rate"], fused=True)
        warmup = int(settings["warmup_ratio"] * self._steps)
        schedule = get_scheduler(settings["schedule"], optimizer, warmup, self._steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def train(job: Job, reference: Reference, folder: str) -> dict[str, Any]:
    """Test, train with the best epoch kept, test again; return the figures that the Trainer's side also has."""
    settings = job.trainer
    loaders = {name: _loader(job, reference, name) for name in reference.splits}
    steps = len(loaders["train"]) * settings["epochs"]
    module = Tuned(job, reference, steps)
    clock = Clock()
    best = ModelCheckpoint(
        dirpath=Path(folder),
        monitor=reference.metric,
        mode="max" if reference.better == "higher" else "min",
        save_weights_only=True,
    )
    trainer = lightning.Trainer(
        max_epochs=settings["epochs"],
        accelerator="auto",
        precision=PRECISIONS[settings["precision"]],
        callbacks=[clock, best],
        num_sanity_val_steps=0,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.validate(module, loaders["test"], verbose=False)
    before = module.scores
    trainer.fit(module, loaders["train"], loaders["validation"])
    trainer.validate(module, loaders["test"], ckpt_path=best.best_model_path, weights_only=True, verbose=False)
    return {
        "steps": trainer.global_step,
        "best_value": float(best.best_model_score) if best.best_model_score is not None else None,
        "before": before,
        "after": module.scores,
        "training_seconds": clock.seconds,
    }


def _loader(job: Job, reference: Reference, name: str) -> DataLoader[Any]:
    """Return a split's batches: for training, sentences and clips of like length together where lengths differ."""
    split = reference.splits[name]
    size = job.trainer["batch_size"]
    if name != "train":
        return DataLoader(split, batch_size=2 * size, collate_fn=reference.collator)
    if reference.processing_class is None:
        return DataLoader(split, batch_size=size, shuffle=True, collate_fn=reference.collator)
    column = reference.processing_class.model_input_names[0]
    lengths = [len(row) for row in split[column]]
    sampler = LengthGroupedSampler(size, lengths=lengths)
    return DataLoader(split, batch_size=size, sampler=sampler, collate_fn=reference.collator)
