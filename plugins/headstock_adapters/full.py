"""Full fine-tuning."""

from __future__ import annotations

from headstock import Adapter, Backbone


class Full(Adapter):
    """Trains every parameter of the backbone."""

    def attach(self, backbone: Backbone) -> None:
        """Mark all parameters trainable."""
        backbone.requires_grad_(True)
