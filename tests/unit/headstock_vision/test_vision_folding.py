"""Folding a fixed batch norm into its convolution changes no number."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from headstock_vision.backbones.networks.folding import fold_fixed_norms


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def network(bias: bool = False) -> nn.Sequential:
    """Two rows of convolution, norm and activation, with statistics and scales that are not the usual ones."""
    rows = [
        nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, bias=bias), nn.BatchNorm2d(8, eps=1e-3), nn.ReLU6(inplace=True)),
        nn.Sequential(nn.Conv2d(8, 8, 3, groups=8, bias=bias), nn.BatchNorm2d(8)),
    ]
    for row in rows:
        nn.init.uniform_(row[1].weight, 0.5, 1.5)
        nn.init.normal_(row[1].bias)
        row[1].running_mean.normal_()
        row[1].running_var.uniform_(0.5, 2.0)
    return nn.Sequential(*rows)


def worked_out(model: nn.Module, images: Tensor) -> list[Tensor]:
    """Return a model's outputs and the gradients of its input and parameters."""
    model.zero_grad()
    images = images.clone().requires_grad_()
    outputs = model(images)
    outputs.square().sum().backward()
    gradients = [images.grad, *(parameter.grad for parameter in model.parameters())]
    return [outputs.detach(), *(each.clone() for each in gradients if each is not None)]


def same(found: list[Tensor], expected: list[Tensor]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def operations(model: nn.Module, images: Tensor) -> set[str]:
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        model(images)
    return {event.key for event in profile.key_averages()}


@pytest.mark.parametrize("bias", [False, True])
def test_outputs_and_gradients_are_the_same(bias: bool) -> None:
    model, images = network(bias).eval(), torch.randn(2, 3, 16, 16)
    expected = worked_out(model, images)
    folded = copy.deepcopy(model)
    fold_fixed_norms(folded)
    same(worked_out(folded, images), expected)
    assert "aten::batch_norm" in operations(model, images)
    assert "aten::batch_norm" not in operations(folded, images)


def test_a_copy_is_a_network_of_its_own() -> None:
    model, images = network().eval(), torch.randn(2, 3, 16, 16)
    fold_fixed_norms(model)
    before = model(images)
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert not other(images).any()
    assert torch.equal(model(images), before)


def test_norms_that_learn_their_statistics_are_left_alone() -> None:
    model, images = network().train(), torch.randn(2, 3, 16, 16)
    folded = copy.deepcopy(model)
    fold_fixed_norms(folded)
    same(worked_out(folded, images), worked_out(model, images))
    torch.testing.assert_close(folded.state_dict(), model.state_dict())


def test_a_layer_that_was_exchanged_is_left_alone() -> None:
    class Doubled(nn.Conv2d):
        def forward(self, input: Tensor) -> Tensor:
            return 2 * super().forward(input)

    model, images = network().eval(), torch.randn(2, 3, 16, 16)
    fold_fixed_norms(model)
    doubled = Doubled(3, 8, 3, stride=2, bias=False)
    doubled.load_state_dict(model[0][0].state_dict())
    model[0][0] = doubled
    expected = nn.Sequential(*(nn.Sequential(*row) for row in model))
    same([model(images)], [expected(images)])


def test_a_hook_still_sees_the_norm() -> None:
    model, images = network().eval(), torch.randn(2, 3, 16, 16)
    fold_fixed_norms(model)
    seen: list[Tensor] = []
    model[0][1].register_forward_hook(lambda module, inputs, output: seen.append(output))
    model(images)
    assert len(seen) == 1
