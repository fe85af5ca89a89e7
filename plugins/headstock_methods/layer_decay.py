"""Smaller learning rates for lower layers."""

from __future__ import annotations

import re
from collections import Counter

from pydantic import Field

from headstock import Config, HeadstockError, Method, TrainingModel

_LAYER = re.compile(r"^(backbone\.(?:.*\.)?(?:layers?|blocks?|h|stages))\.(\d+)\.")
"""What layers that stand one on the other are called in transformers, torchvision and here; branches are no layers."""


class LayerDecayConfig(Config):
    """Options of the ``layer-decay`` method."""

    decay: float = Field(0.9, gt=0, lt=1, description="rate of a layer by that of the layer above")


class LayerDecay(Method):
    """The top layer of the backbone has the full rate, each one below ``decay`` times that of the one above.

    Source: J. Howard and S. Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL 2018. Layers are
    the numbered modules called layers, blocks or stages that hold the most weights; what comes before them (embeddings)
    is the lowest layer.
    """

    Config = LayerDecayConfig
    config: LayerDecayConfig

    def rate_factors(self, model: TrainingModel) -> dict[str, float]:
        """Return the factor of each parameter of the backbone.

        Raises:
            HeadstockError: there are no layers to tell apart.
        """
        parameters = model.parameters()
        weights: Counter[str] = Counter()
        numbers: dict[str, set[int]] = {}
        for name, parameter in parameters.items():
            found = _LAYER.match(name)
            if found is not None:
                weights[found[1]] += parameter.numel()
                numbers.setdefault(found[1], set()).add(int(found[2]))
        stacks = [stack for stack, _ in weights.most_common() if len(numbers[stack]) > 1]
        if not stacks:
            raise HeadstockError("method layer-decay finds no layers that are trained, one on the other; leave it out")
        stack = stacks[0]
        order = sorted(numbers[stack])
        factors: dict[str, float] = {}
        below = True
        for name in parameters:
            found = _LAYER.match(name)
            if found is not None and found[1] == stack:
                below = False
                factors[name] = self.config.decay ** (len(order) - 1 - order.index(int(found[2])))
            elif below and name.startswith("backbone."):
                factors[name] = self.config.decay ** len(order)
        return factors
