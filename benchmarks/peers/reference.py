"""A reference run: the job that a recipe says, and what a reference script makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers.trainer_utils import EvalPrediction

Variant = Literal["defaults", "best", "workers", "compiled", "flash", "lightning"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)

LIBRARIES = ("transformers", "accelerate", "datasets", "torch", "torchvision", "torchaudio")

SCRIPTS = dict.fromkeys(
    ("text_reviews", "text_lora", "text_probe", "text_probe_again", "text_tiny", "text_base"), "text_classification"
)
"""Recipes that the reference script of another one runs."""


@dataclass(frozen=True)
class Job:
    """One reference run.

    Attributes:
        task: The recipe's section of this name; likewise ``backbone``, ``adapter``, ``data`` and ``trainer``.
        seed: Seed of weights, order, dropout and augmentation.
        variant: ``defaults`` runs the Trainer with plain flags, ``best`` with those that are fastest here (and
            ``workers`` and ``compiled`` with loader processes and torch.compile beside them, for a GPU; ``flash``
            without cuDNN's attention, which is no flag of the Trainer's),
            ``lightning`` runs Lightning's loop instead, with all that makes ``best`` fast.
        limit: Rows of each split at most, for a quick try.
    """

    task: Mapping[str, Any]
    backbone: Mapping[str, Any]
    adapter: Mapping[str, Any]
    data: Mapping[str, Any]
    trainer: Mapping[str, Any]
    seed: int
    variant: Variant
    limit: int | None = None


@dataclass(frozen=True)
class Reference:
    """What a reference script makes of a job.

    Attributes:
        model: A module that returns ``loss`` and ``logits``, as models of transformers do.
        splits: ``train``, ``validation`` and ``test``, each a ``datasets.Dataset``.
        collator: Makes a batch of a list of rows.
        score: Computes the metrics of an evaluation.
        metric: Name of the metric that chooses the best epoch.
        better: Whether higher or lower is better.
        processing_class: Tokenizer or feature extractor; tells the Trainer which column's length counts.
        reduce: Makes of logits and labels what ``score`` needs, batch by batch.
        options: Arguments of the Trainer that this task cannot do without.
        best: Arguments of the Trainer for the variant ``best``.
    """

    model: nn.Module
    splits: Mapping[str, Any]
    collator: Callable[[list[Any]], Mapping[str, Any]]
    score: Callable[[EvalPrediction], dict[str, float]]
    metric: str
    better: Literal["higher", "lower"]
    processing_class: Any = None
    reduce: Callable[[Any, Tensor], Tensor] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    best: Mapping[str, Any] = field(default_factory=dict)
