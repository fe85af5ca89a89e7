"""Frozen backbones run once: their features are computed before training, kept on disk and read from there.

This is what makes a probe cheap: an epoch costs the head alone, and another run on the same data with other seeds or
options of the head costs no pass of the backbone at all.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from headstock.console import Console
from headstock.data import cache_dir
from headstock.data.cached_folder import CacheError, cached_folder
from headstock.digests import bytes_digest, json_digest, new_digest
from headstock.engine.module import TuningModule
from headstock.interfaces import Batch, Features
from headstock.preprocessing.features import FeatureStore, FeatureWriter
from headstock.preprocessing.fingerprint import code_digest
from headstock.preprocessing.prepare import PreparedSplit
from headstock.recipe.resolve import ResolvedRecipe
from headstock.trainer.config import TrainerConfig
from headstock.trainer.kernels.attention import planless_attention
from headstock.trainer.kernels.packed_linear import packed_weights
from headstock.trainer.plan.batches import BatchPlan
from headstock.trainer.step.precision import autocast
from headstock_registry import API_VERSION

SHARE_OF_DISK = 0.25
"""Features of a split are kept if they take at most this share of what is free on the cache's disk."""

PROBED = 4
"""Examples on which it is found out what the head reads."""


def with_fixed_features(
    resolved: ResolvedRecipe,
    module: TuningModule,
    splits: dict[str, PreparedSplit],
    console: Console,
    shared_out: bool = False,
) -> dict[str, PreparedSplit]:
    """Return the splits with features, where a run sees the same ones at each pass.

    That is so if training changes nothing in the backbone and nothing in it is random. Training data that the task
    augments is left as it is, and the console says so.

    Args:
        resolved: The recipe.
        module: The model, on its device.
        splits: The prepared splits.
        console: Where to show progress.
        shared_out: Whether the model runs on all ranks together or not at all. Then the splits are left as they are.
    """
    if not resolved.trainer.cache_features or not _is_fixed(module):
        return splits
    if shared_out:
        console.line("the frozen backbone is shared out over the ranks, so it runs anew in every epoch")
        return splits
    found = dict(splits)
    weights = _weights_digest(module)
    for name, split in splits.items():
        if name == "train" and module.task.augments:
            console.line("training examples are augmented, so the frozen backbone runs anew on them in every epoch")
            continue
        found[name] = _with_features(resolved, module, split, weights, console)
    return found


def _is_fixed(module: TuningModule) -> bool:
    """Tell whether the backbone gives the same features in training as in evaluation, at every step."""
    if module.tunes_backbone:
        return False
    before = module.training
    module.train()
    moving = any(part.training for part in module.backbone.modules())
    module.train(before)
    return not moving


def _with_features(
    resolved: ResolvedRecipe, module: TuningModule, split: PreparedSplit, weights: str, console: Console
) -> PreparedSplit:
    config = resolved.trainer
    device = next(module.parameters()).device
    with _evaluating(module), torch.no_grad(), autocast(config, device):
        probe = split.batch(range(min(PROBED, len(split))), module.backbone, module.task).to(device)
        features = module.encode(probe)
        if type(features) is not Features:
            return split
        reads_sequence = _reads_sequence(module, probe, features)
    folder = cache_dir() / "features" / _key(resolved, module, split, weights, reads_sequence, device)
    if not folder.exists():
        size = _size(split, features, reads_sequence)
        if size > SHARE_OF_DISK * _free(folder):
            console.line(
                f"{split.split.name}: features of the frozen backbone would take {size / 2**30:.1f} GiB, for which the "
                "cache's disk has too little room, so they are computed in every epoch"
            )
            return split

    def fill(beside: Path) -> None:
        with FeatureWriter(beside, reads_sequence) as writer:
            for batch, indices in _batches(module, split, config, device, console):
                writer.append(indices, module.encode(batch))
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


def _batches(
    module: TuningModule, split: PreparedSplit, config: TrainerConfig, device: torch.device, console: Console
) -> Iterator[tuple[Batch, Any]]:
    cost = None if config.batch_cost is None else config.batch_cost * 2
    batches = BatchPlan(split.costs, config.batch_size * 2, cost, seed=0).ordered()
    with (
        _evaluating(module),
        torch.no_grad(),
        autocast(config, device),
        planless_attention(config, device),
        packed_weights(module, config, device),
        console.bar(f"encode {split.split.name}", len(batches)) as bar,
    ):
        for indices in batches:
            yield split.batch(indices, module.backbone, module.task).to(device), indices
            bar.advance(1, len(indices))


@contextmanager
def _evaluating(module: TuningModule) -> Iterator[None]:
    before = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(before)


def _reads_sequence(module: TuningModule, batch: Batch, features: Features) -> bool:
    """Find out whether the head's outputs depend on the sequence, in training or in evaluation.

    Sequences are many times larger than the pooled vectors, with which most heads are content. What is made of a
    sequence that is read differs when the sequence is noise.
    """
    with torch.random.fork_rng(devices=_cuda_devices(features)):
        torch.manual_seed(0)
        noise = torch.randn_like(features.sequence) * (1 + features.sequence.abs().amax())
    spoilt = features._replace(sequence=noise)
    head = copy.deepcopy(module.head)  # trying must not move its statistics
    for training in (True, False):
        head.train(training)
        found: list[dict[str, Tensor]] = []
        for each in (features, spoilt):
            with torch.random.fork_rng(devices=_cuda_devices(each)):
                torch.manual_seed(0)
                found.append(module.task.forward(head, each, batch))
        if any(not torch.equal(found[0][name], found[1][name]) for name in found[0]):
            return True
    return False


def _cuda_devices(features: Features) -> list[torch.device]:
    return [features.pooled.device] if features.pooled.device.type == "cuda" else []


def _weights_digest(module: TuningModule) -> str:
    """Return a digest of every parameter and buffer of the backbone."""
    hasher = new_digest()
    tensors = dict(module.backbone.named_parameters()) | dict(module.backbone.named_buffers())
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
    """Name all that features depend on: weights, code, options, preprocessed data, and in which numbers they are."""
    parts = (resolved.backbone, resolved.adapter)
    with autocast(resolved.trainer, device):
        number = torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else torch.float32
    key = {
        "api": API_VERSION,
        "weights": weights,
        "code": [code_digest(part.cls) for part in parts],
        "options": [part.config.model_dump(mode="json") for part in parts],
        "preprocessing": module.backbone.fingerprint(),
        "data": bytes_digest(*split.split.digests),
        "sequence": with_sequence,
        "numbers": str(number),
        "device": device.type,
    }
    return json_digest(key)
