"""Frozen encoders run once: their features are computed before training, kept on disk and read from there.

This is what makes a probe cheap: an epoch costs the head alone, and another run on the same data with other seeds or
options of the head costs no pass of the backbone at all.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import torch

from headstock.console import Console
from headstock.data import cache_dir
from headstock.data.cache.cached_folder import CacheError, cached_folder
from headstock.digests import bytes_digest, json_digest, new_digest
from headstock.engine.models.module import TuningModule
from headstock.engine.passes.loop import Pass, evaluating
from headstock.interfaces import Features
from headstock.preprocessing.code import code_digest
from headstock.preprocessing.features import FeatureStore, FeatureWriter
from headstock.preprocessing.prepare import PreparedSplit
from headstock.recipe.resolve import ResolvedRecipe
from headstock.trainer.config import TrainerConfig
from headstock.trainer.step.precision import autocast
from headstock_registry import API_VERSION

FRACTION_OF_DISK = 0.25
"""Features of a split are kept if they take at most this fraction of what is free on the cache's disk."""

PROBED = 4
"""Examples from which the size of all features is estimated."""


def with_fixed_features(
    resolved: ResolvedRecipe,
    module: TuningModule,
    splits: dict[str, PreparedSplit],
    console: Console,
    sharded: bool = False,
) -> dict[str, PreparedSplit]:
    """Return the splits with features, where a run sees the same ones at each pass.

    That is so if training changes nothing in what the backbone encodes with and nothing in it is random. Training data
    that the task augments is left as it is, and the console says so.

    Args:
        resolved: The recipe.
        module: The model, on its device.
        splits: The prepared splits.
        console: Where to show progress.
        sharded: Whether each rank holds a shard of the model, so that all run it together. Then the splits are left as
            they are.
    """
    if not resolved.trainer.cache_features or not _is_fixed(module):
        return splits
    if sharded:
        console.line("the frozen backbone is sharded over the ranks, so it runs anew in every epoch")
        return splits
    found = dict(splits)
    weights = _weights_digest(module)
    for name, split in splits.items():
        if name == "train" and any(method.runs_encoder for method in module.methods):
            console.line("a method needs the frozen backbone in each step, so it runs anew on training examples")
            continue
        if name == "train" and module.task.augments:
            console.line("training examples are augmented, so the frozen backbone runs anew on them in every epoch")
            continue
        found[name] = _with_features(resolved, module, split, weights, console)
    return found


def _is_fixed(module: TuningModule) -> bool:
    """Tell whether the backbone gives the same features in training as in evaluation, at every step."""
    if module.tunes_encoder:
        return False
    before = module.training
    module.train()
    moving = any(part.training for whole in module.backbone.encoder_parts() for part in whole.modules())
    module.train(before)
    return not moving


def _with_features(
    resolved: ResolvedRecipe, module: TuningModule, split: PreparedSplit, weights: str, console: Console
) -> PreparedSplit:
    config = resolved.trainer
    reads_sequence = "sequence" in module.task.reads
    loop = Pass(module, split, config)
    folder = cache_dir() / "features" / _key(resolved, module, split, weights, reads_sequence, loop.device)
    if not folder.exists():
        probe = _probe(loop, module, split, config)
        if type(probe) is not Features:
            return split
        size = _size(split, probe, reads_sequence)
        if size > FRACTION_OF_DISK * _free(folder):
            console.line(
                f"{split.split.name}: features of the frozen backbone would take {size / 2**30:.1f} GiB, for which the "
                "cache's disk has too little room, so they are computed in every epoch"
            )
            return split

    def fill(beside: Path) -> None:
        with FeatureWriter(beside, reads_sequence) as writer:
            loop.run(
                lambda _, indices, batch: writer.append(indices, module.encode(batch.to(loop.device))),
                console,
                f"encode {split.split.name}",
            )
            writer.close()

    name = split.split.name
    try:
        with console.current():
            return replace(split, features=FeatureStore(cached_folder(folder, f"{name} features", fill)))
    except CacheError as error:
        console.line(f"{name}: features of the frozen backbone are computed in every epoch: {error}")
        return split


def _size(split: PreparedSplit, features: Features, with_sequence: bool) -> float:
    """Estimate from the first examples how many bytes all features take."""
    numbers = float(features.pooled.shape[1] * len(split))
    if with_sequence:
        width = features.sequence.shape[1] * features.sequence.shape[2]
        numbers += width * float(split.costs.sum()) / float(split.costs[: len(features.mask)].max())
    return numbers * torch.float32.itemsize


def _free(folder: Path) -> int:
    """Return how many bytes are free where ``folder`` is going to be."""
    there = next(parent for parent in folder.parents if parent.exists())
    return shutil.disk_usage(there).free


def _probe(loop: Pass, module: TuningModule, split: PreparedSplit, config: TrainerConfig) -> Features:
    """Return the features of a few examples."""
    batch = split.batch(range(min(PROBED, len(split))), module.backbone, module.task)
    with evaluating(module), torch.no_grad(), autocast(config, loop.device):
        return module.encode(batch.to(loop.device))


def _weights_digest(module: TuningModule) -> str:
    """Return a digest of every parameter and buffer that the backbone encodes with."""
    hasher = new_digest()
    tensors = {
        f"{index}.{name}": tensor
        for index, part in enumerate(module.backbone.encoder_parts())
        for name, tensor in (*part.named_parameters(), *part.named_buffers())
    }
    for name, tensor in sorted(tensors.items()):
        value = tensor.detach().cpu().contiguous()
        hasher.update(f"{name} {value.dtype} {tuple(value.shape)}\0".encode())
        hasher.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return hasher.hexdigest()


def _key(
    resolved: ResolvedRecipe,
    module: TuningModule,
    split: PreparedSplit,
    weights: str,
    with_sequence: bool,
    device: torch.device,
) -> str:
    """Name all that features depend on: weights, code, options, preprocessed data, and their dtype."""
    parts = (resolved.backbone, resolved.adapter)
    with autocast(resolved.trainer, device):
        dtype = torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else torch.float32
    key = {
        "api": API_VERSION,
        "weights": weights,
        "code": [code_digest(part) for part in (module.backbone, module.adapter)],
        "options": [part.config.model_dump(mode="json") for part in parts],
        "preprocessing": module.backbone.fingerprint(),
        "data": bytes_digest(split.split.digests.joined()),
        "sequence": with_sequence,
        "dtype": str(dtype),
        "device": device.type,
    }
    return json_digest(key)
