"""Keeps running statistics of normalisation layers still while the rest of a backbone trains."""

from __future__ import annotations

from headstock import Backbone


def train_with_fixed_statistics(backbone: Backbone, training: bool) -> None:
    """Set training or evaluation mode, but leave normalisation layers that keep running statistics in evaluation mode.

    In training mode batch normalisation would overwrite ``running_mean`` and ``running_var`` without any optimizer,
    although they belong to the weights that an adapter leaves alone.
    """
    backbone.train(training)
    for module in backbone.modules():
        if getattr(module, "running_mean", None) is not None:
            module.eval()
