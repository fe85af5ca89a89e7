"""Mixup: pairs of examples mixed, in the continuous input or in the features."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from headstock import Batch, Config, HeadstockError, Loss, Method, TrainingModel


class MixupConfig(Config):
    """Options of the ``mixup`` method."""

    alpha: float = Field(0.2, gt=0, description="the share of the first example is drawn from Beta(alpha, alpha)")
    where: Literal["features", "input"] = Field(
        "features",
        description="what is mixed: the pooled features (any data), or the continuous input (images of one size)",
    )
    cut: bool = Field(False, description="with where=input on images: paste a rectangle in place of mixing (CutMix)")

    @model_validator(mode="after")
    def _cuts_inputs(self) -> Self:
        if self.cut and self.where != "input":
            raise ValueError("cut=true pastes images: it needs where=input")
        return self


class Mixup(Method):
    """Each example mixed with another one of its batch; the loss is that of both labels by their shares.

    Source: H. Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018; mixed features: V. Verma et al.,
    "Manifold Mixup", ICML 2019; ``cut``: S. Yun et al., "CutMix", ICCV 2019. One share is drawn for a batch.
    """

    Config = MixupConfig
    config: MixupConfig
    runs_encoder: ClassVar[bool] = True
    across_batch: ClassVar[bool] = True

    def begin(self, model: TrainingModel, inputs: Iterable[Mapping[str, Any]]) -> None:
        """Look whether examples can be mixed.

        Raises:
            HeadstockError: the task reads features of parts of an example (words, places), which are no pairs.
        """
        del inputs
        if model.changed_inside:
            raise HeadstockError("method mixup mixes what the task reads: name it after the others in 'methods'")
        if tuple(model.reads) != ("pooled",):
            raise HeadstockError("method mixup mixes whole examples, and this task reads parts of them; leave it out")

    def loss(self, model: TrainingModel, batch: Batch) -> Loss:
        """Return the loss of mixed examples; one pass of the encoder and two of the head, or two of both."""
        order = torch.randperm(batch.size).to(next(iter(batch.targets.values())).device)
        share = float(torch.distributions.Beta(self.config.alpha, self.config.alpha).sample())
        other = _permuted(batch, order)
        if self.config.where == "features":
            features = model.features(batch)
            mixed = features._replace(pooled=share * features.pooled + (1 - share) * features.pooled[order])
            first = model.loss(replace(batch, features=mixed))
            second = model.loss(replace(other, features=mixed))
        else:
            embedded = model.embed(batch)
            if embedded.ndim != 4:
                raise HeadstockError(
                    f"method mixup with where=input needs images (B, C, H, W), not {tuple(embedded.shape)}; "
                    "where=features mixes any examples"
                )
            if self.config.cut:
                embedded, share = _pasted(embedded, embedded[order], share)
            else:
                embedded = share * embedded + (1 - share) * embedded[order]
            first = model.loss(batch, embedded)
            second = model.loss(other, embedded)
        return Loss(share * first.total + (1 - share) * second.total, share * first.count + (1 - share) * second.count)


def _permuted(batch: Batch, order: Tensor) -> Batch:
    """Return a batch with its targets in another order.

    Raises:
        HeadstockError: a target has not one row an example.
    """
    for name, value in batch.targets.items():
        if value.ndim == 0 or len(value) != batch.size:
            raise HeadstockError(f"method mixup needs one row of '{name}' an example, which this task has not")
    indices = None if batch.indices is None else batch.indices[order.cpu()]
    return replace(batch, targets={name: value[order] for name, value in batch.targets.items()}, indices=indices)


def _pasted(values: Tensor, others: Tensor, share: float) -> tuple[Tensor, float]:
    """Return images with a rectangle from others, and the share of each image that is its own."""
    height, width = values.shape[2:]
    tall, wide = int(height * (1 - share) ** 0.5), int(width * (1 - share) ** 0.5)
    top = int(torch.randint(0, height - tall + 1, ()))
    left = int(torch.randint(0, width - wide + 1, ()))
    inside = torch.zeros(height, width, dtype=torch.bool, device=values.device)
    inside[top : top + tall, left : left + wide] = True
    return torch.where(inside, others, values), 1 - tall * wide / (height * width)
