"""Linear probing: the backbone is a fixed feature extractor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from headstock import Adapter, Backbone, TrainingFacts
from headstock.kits import passes


class LinearProbe(Adapter):
    """Freezes the whole backbone, in evaluation mode, so that only the task's head is trained."""

    keeps_base: ClassVar[bool] = True

    @classmethod
    def trainer_defaults(cls, config: Any, facts: TrainingFacts) -> Mapping[str, Any]:
        """Return what suits a head on fixed features, of which an epoch costs little; measured on texts and images."""
        del config
        return {"learning_rate": 3e-3, **passes(facts, steps=1500, smallest=16, least=20, most=60)}

    def attach(self, backbone: Backbone) -> None:
        """Freeze all parameters."""
        backbone.requires_grad_(False)

    def set_mode(self, backbone: Backbone, training: bool) -> None:
        """Keep the backbone in evaluation mode: no dropout, fixed normalisation statistics."""
        del training
        backbone.eval()
