"""Adapters with one fault each."""

from __future__ import annotations

import torch
from kit_sound import Factor, Scale, Scaled
from torch import nn


class TrainsFrozen(Scale):
    def set_mode(self, backbone, training):
        super().set_mode(backbone, training)
        if training:
            with torch.no_grad():
                backbone.embedding.weight += 0.1


class MarksWhatIsUnused(Scale):
    def attach(self, backbone):
        super().attach(backbone)
        backbone.body.unused = nn.Parameter(torch.zeros(3))

    def merge(self, backbone):
        del backbone.body.unused
        super().merge(backbone)


class SaysItKeepsTheBase(Scale):
    def attach(self, backbone):
        super().attach(backbone)
        with torch.no_grad():
            backbone.embedding.weight.requires_grad_(True)
            backbone.body.base[1].weight.mul_(1.0)
            backbone.body.base[1].weight.requires_grad_(True)


class StartsElsewhere(Scale):
    def attach(self, backbone):
        super().attach(backbone)
        with torch.no_grad():
            backbone.body.scale.mul_(0.5)


class SavesNothing(Scale):
    def save(self, backbone, directory):
        super().save(backbone, directory)

    def load(self, backbone, directory):
        self.attach(backbone)
        backbone.requires_grad_(False)


class MergesHalf(Scale):
    def merge(self, backbone):
        scaled: Scaled = backbone.body
        backbone.body = scaled.base
        backbone.body.append(Factor(scaled.scale.detach() ** 0.5))


class DoesNotMerge(Scale):
    def merge(self, backbone):
        del backbone


class PicklesItsState(Scale):
    def save(self, backbone, directory):
        super().save(backbone, directory)
        torch.save({"rate": self.config.rate}, directory / "state.bin")
