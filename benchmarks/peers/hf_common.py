"""What the reference scripts share: the recipe's settings, the Trainer's arguments, the clock, the result file.

A reference script reads the very recipe that Headstock runs, so that no setting can differ by a slip, and does with it
what a user of the example scripts of transformers does. Nothing here trains: that is ``transformers.Trainer``.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import yaml
from reference import LIBRARIES, VARIANTS, Job, Reference, Variant
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments, set_seed

BEST: dict[str, dict[str, Any]] = {
    "best": {},
    "workers": {"dataloader_num_workers": 4, "dataloader_persistent_workers": True},
    "compiled": {"torch_compile": True},
    "flash": {},
}
"""Variants of the Trainer with the fastest flags for a task, and what they add to them."""


class TrainingClock(TrainerCallback):
    """Adds up the time that epochs take, from before the first batch is loaded to behind the last optimizer step.

    Loading, collating, forward, backward and update count. Evaluation and saving do not: with the strategy ``epoch``
    they come after ``on_epoch_end``.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began = 0.0

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start."""
        self._began = time.perf_counter()

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop, when the device has done all that it was given."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds += time.perf_counter() - self._began


def read_job(
    recipe: Path,
    *,
    seed: int = 0,
    variant: Variant = "defaults",
    precision: str | None = None,
    epochs: int | None = None,
    limit: int | None = None,
) -> Job:
    """Read a recipe; ``precision`` and ``epochs`` stand above what it says."""
    content = yaml.safe_load(recipe.read_text("utf-8"))
    trainer = dict(content["trainer"])
    if precision is not None:
        trainer["precision"] = precision
    if epochs is not None:
        trainer["epochs"] = epochs
    adapter = content["adapter"]
    named = {"name": adapter} if isinstance(adapter, str) else adapter
    return Job(content["task"], content["backbone"], named, content["data"], trainer, seed, variant, limit)


def training_arguments(job: Job, reference: Reference, folder: str) -> TrainingArguments:
    """Return the Trainer's arguments for the settings of the recipe."""
    settings = job.trainer
    best = {**reference.best, **BEST[job.variant]} if job.variant in BEST else {}
    return TrainingArguments(
        output_dir=folder,
        num_train_epochs=settings["epochs"],
        per_device_train_batch_size=settings["batch_size"],
        per_device_eval_batch_size=2 * settings["batch_size"],
        learning_rate=settings["learning_rate"],
        weight_decay=settings["weight_decay"],
        lr_scheduler_type=settings["schedule"],
        warmup_steps=settings["warmup_ratio"],  # below 1 it is a share of all steps
        max_grad_norm=settings["max_grad_norm"],
        bf16=settings["precision"] == "bf16",
        use_cpu=not torch.cuda.is_available(),
        seed=job.seed,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,  # beside the best
        load_best_model_at_end=True,
        metric_for_best_model=reference.metric,
        greater_is_better=reference.better == "higher",
        disable_tqdm=True,
        **reference.options,
        **best,
    )


def train_and_test(job: Job, reference: Reference) -> dict[str, Any]:
    """Test, train, test again with the best epoch's weights, as Headstock does, and return the record of it."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        if job.variant == "lightning":
            from loops.lightning_loop import train

            figures = train(job, reference, folder)
        else:
            figures = train_with_trainer(job, reference, folder)
    examples = len(reference.splits["train"]) * job.trainer["epochs"]
    parameters = list(reference.model.parameters())
    libraries = (*LIBRARIES, "lightning") if job.variant == "lightning" else LIBRARIES
    return {
        "parameters": sum(parameter.numel() for parameter in parameters),
        "environment": {
            "device_type": parameters[0].device.type,
            "threads": torch.get_num_threads(),
            **{name: metadata.version(name) for name in libraries},
        },
        "examples": {name: len(split) for name, split in reference.splits.items()},
        **figures,
        "examples_per_second": examples / figures["training_seconds"],
        "seconds": time.perf_counter() - started,
        "peak_memory_mb": peak_memory_mb(parameters[0].device),
    }


def train_with_trainer(job: Job, reference: Reference, folder: str) -> dict[str, Any]:
    """Test, train and test with the Trainer, and return steps, metrics and seconds."""
    clock = TrainingClock()
    trainer = Trainer(
        model=reference.model,
        args=training_arguments(job, reference, folder),
        train_dataset=reference.splits["train"],
        eval_dataset=reference.splits["validation"],
        data_collator=reference.collator,
        compute_metrics=reference.score,
        processing_class=reference.processing_class,
        preprocess_logits_for_metrics=reference.reduce,
        callbacks=[clock],
    )
    plans = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(plans and job.variant != "flash")
    before = trainer.predict(reference.splits["test"]).metrics
    trainer.train()
    after = trainer.predict(reference.splits["test"]).metrics
    torch.backends.cuda.enable_cudnn_sdp(plans)
    return {
        "steps": trainer.state.global_step,
        "best_value": trainer.state.best_metric,
        "before": _plain(before),
        "after": _plain(after),
        "training_seconds": clock.seconds,
    }


def run_script(prepare: Callable[[Job], Reference]) -> None:
    """Run a reference script: read its arguments, train, write the record."""
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe", type=Path, help="the recipe that Headstock runs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--variant", choices=VARIANTS, default="defaults")
    parser.add_argument("--precision", choices=["fp32", "bf16"], help="instead of the recipe's")
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--limit", type=int, help="rows of each split at most, for a quick try")
    parser.add_argument("--out", type=Path, help="JSON file for the record; default: standard output")
    given = parser.parse_args()
    job = read_job(
        given.recipe,
        seed=given.seed,
        variant=given.variant,
        precision=given.precision,
        epochs=given.epochs,
        limit=given.limit,
    )
    set_seed(job.seed)
    record = json.dumps(train_and_test(job, prepare(job)), indent=2)
    if given.out is None:
        print(record)
    else:
        given.out.write_text(record + "\n", "utf-8")


def limited_rows(rows: list[Any], limit: int | None) -> list[Any]:
    """Return rows, or for a quick try the first few."""
    return rows[:limit]


def limited(dataset: Any, limit: int | None) -> Any:
    """Return a data set, or for a quick try so many rows of it."""
    if limit is None or limit >= len(dataset):
        return dataset
    return dataset.shuffle(seed=0).select(range(limit))


def _plain(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics of a test without the Trainer's prefix and without its times."""
    times = ("test_runtime", "test_samples_per_second", "test_steps_per_second", "test_model_preparation_time")
    return {name.removeprefix("test_"): float(value) for name, value in metrics.items() if name not in times}


def peak_memory_mb(device: torch.device) -> float:
    """Return the most memory that was in use, on a GPU that of the device."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
