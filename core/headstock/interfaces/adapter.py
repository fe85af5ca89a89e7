"""An adapter: how a backbone is tuned."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from headstock.interfaces.backbone import Backbone
from headstock.interfaces.component import Component


class Adapter(Component):
    """Says which of a backbone's parameters are trained and what is inserted.

    Attributes:
        keeps_base: True when the backbone's own weights and buffers stay as they were, bit for bit. Then a run stores
            only the adapter, and names where the backbone came from.
        starts_at_base: False when attaching changes the features at once, as prompts or new layers do.
    """

    keeps_base: ClassVar[bool] = False
    starts_at_base: ClassVar[bool] = True

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def attach(self, backbone: Backbone) -> None:
        """Freeze, insert and mark trainable, in place."""

    def set_mode(self, backbone: Backbone, training: bool) -> None:
        """Put the backbone into training or evaluation mode; a frozen backbone stays in evaluation mode."""
        backbone.train(training)

    def merge(self, backbone: Backbone) -> None:
        """Fold what :meth:`attach` inserted into the backbone's own layers, features unchanged, in place.

        The default inserted nothing.

        Raises:
            NotImplementedError: these layers cannot take it in.
        """
        del backbone

    def save(self, backbone: Backbone, directory: Path) -> None:
        """Write only what this adapter added to the backbone. The default added nothing."""
        del backbone, directory

    def load(self, backbone: Backbone, directory: Path) -> None:
        """Attach what :meth:`save` wrote to a backbone that has its base weights. The default has nothing to attach."""
        del backbone, directory
