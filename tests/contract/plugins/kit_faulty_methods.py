"""Methods with one fault each."""

from __future__ import annotations

import torch
from kit_sound import Nudge

from headstock import Loss


class AddsToGrad(Nudge):
    def loss(self, model, batch):
        model.loss(batch).total.backward()
        return super().loss(model, batch)


class MovesWeightsInPlace(Nudge):
    def loss(self, model, batch):
        with torch.no_grad():
            for weights in model.parameters().values():
                weights.add_(0.01)
        return super().loss(model, batch)


class CutsTheGraph(Nudge):
    def loss(self, model, batch):
        found = super().loss(model, batch)
        return Loss(found.total.detach().requires_grad_(), found.count)


class NormalisesOverTheBatch(Nudge):
    def direction(self, gradient):
        return gradient / gradient.norm()


class MeansOverTheBatch(Nudge):
    def loss(self, model, batch):
        found = super().loss(model, batch)
        return Loss(found.total / found.count, torch.ones_like(found.count))


class ExchangesOneWay(Nudge):
    def exchange(self, model):
        for mean, weights in self.pairs(model):
            weights.copy_(mean)


class RemembersOutsideOfMemory(Nudge):
    def begin(self, model, inputs):
        super().begin(model, inputs)
        self.taken = 0

    def after_step(self, model, step, steps):
        super().after_step(model, step, steps)
        self.taken += 1

    def direction(self, gradient):
        return super().direction(gradient) * self.taken


class ForgetsWhatItWasTold(Nudge):
    def exchange(self, model):
        if self.memory.steps == 0:
            return
        super().exchange(model)
        self.memory.steps.zero_()
