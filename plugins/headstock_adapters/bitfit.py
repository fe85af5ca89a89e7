"""BitFit: only bias terms are trained."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from headstock import Adapter, Backbone, HeadstockError, TrainingFacts
from headstock_adapters.statistics import train_with_fixed_statistics

BIAS = re.compile(r"(^|[._])bias$|(^|\.)bias_[a-z]+(_l\d+(_reverse)?)?$")
"""Bias terms by name: ``bias`` of most layers, ``in_proj_bias`` and ``bias_k`` of attention, ``bias_ih_l0`` of RNNs."""


class BitFit(Adapter):
    """Trains the bias terms of the backbone's body, those of normalisation layers included, and nothing else of it.

    Running statistics of batch normalisation stay fixed too. Source: E. Ben Zaken, S. Ravfogel, Y. Goldberg, "BitFit:
    Simple Parameter-efficient Fine-tuning for Transformer-based Masked Language-models", ACL 2022.
    """

    keeps_base: ClassVar[bool] = False

    @classmethod
    def trainer_defaults(cls, config: Any, facts: TrainingFacts) -> Mapping[str, Any]:
        """Return a learning rate from the upper end of the range that the paper searches."""
        del config, facts
        return {"learning_rate": 5e-4}

    def attach(self, backbone: Backbone) -> None:
        """Freeze everything but the bias terms of the body.

        Raises:
            HeadstockError: the body has no bias term.
        """
        backbone.requires_grad_(False)
        biases = [parameter for name, parameter in backbone.body.named_parameters() if BIAS.search(name)]
        if not biases:
            body = type(backbone.body).__name__
            raise HeadstockError(f"adapter 'bitfit' trains bias terms, but the backbone's {body} has none; take 'lora'")
        for bias in biases:
            bias.requires_grad_(True)

    def set_mode(self, backbone: Backbone, training: bool) -> None:
        """Set the mode; running statistics stay as they are."""
        train_with_fixed_statistics(backbone, training)
