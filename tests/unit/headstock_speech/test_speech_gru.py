"""Gated recurrent layers give torch's numbers, and others are left alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from headstock_speech.backbones.gru import GRU


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def trained(layer: nn.GRU, *inputs: Tensor) -> tuple[list[Tensor], str]:
    """Return outputs and gradients of a layer, and what made the outputs."""
    values = [value.clone().requires_grad_() for value in inputs]
    layer.zero_grad()
    outputs, last = layer(*values)
    (outputs.float().square().sum() + (last * torch.linspace(-1, 1, last.shape[-1])).sum()).backward()
    gradients = [each.grad for each in (*values, *layer.parameters())]
    maker = outputs.grad_fn
    while maker is not None and "Transpose" in maker.name():
        maker = maker.next_functions[0][0]
    return [outputs.detach(), last.detach(), *(each for each in gradients if each is not None)], maker.name()


def twins(**options: Any) -> tuple[nn.GRU, GRU]:
    """Return torch's layer and ours with the same weights."""
    plain, ours = nn.GRU(6, 5, **options), GRU(6, 5, **options)
    ours.load_state_dict(plain.state_dict())
    return plain, ours


def assert_close(found: list[Tensor], expected: list[Tensor]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"batch_first": True}], ids=["plain", "no bias", "batch"])
@pytest.mark.parametrize("positions", [1, 2, 9])
@pytest.mark.parametrize("starts", [False, True], ids=["zero", "state"])
def test_outputs_and_gradients_are_those_of_torch(options: dict[str, bool], positions: int, starts: bool) -> None:
    plain, ours = twins(**options)
    shape = (4, positions) if options.get("batch_first") else (positions, 4)
    inputs = (torch.randn(*shape, 6), *([torch.randn(1, 4, 5)] if starts else []))
    found, maker = trained(ours, *inputs)
    assert "_Gru" in maker
    assert len(found) == 2 + len(inputs) + len(list(ours.parameters()))
    assert_close(found, trained(plain, *inputs)[0])


def test_a_gradient_can_be_differentiated_again() -> None:
    def second(layer: nn.GRU, value: Tensor) -> list[Tensor]:
        (first,) = torch.autograd.grad(layer(value)[0].square().sum(), value, create_graph=True)
        first.square().sum().backward()
        return [each.grad for each in layer.parameters() if each.grad is not None]

    plain, ours = twins()
    value = torch.randn(3, 2, 6, requires_grad=True)
    assert_close(second(ours, value), second(plain, value))


def test_frozen_weights_pass_gradients_on() -> None:
    plain, ours = twins()
    value = torch.randn(3, 2, 6)
    found, maker = trained(ours.requires_grad_(False), value)
    assert "_Gru" in maker
    assert_close(found, trained(plain.requires_grad_(False), value)[0])


def test_autocast_is_kept_away() -> None:
    plain, ours = twins()
    value = torch.randn(3, 2, 6)
    expected, _ = trained(plain, value)
    with torch.autocast("cpu", torch.bfloat16):
        found, maker = trained(ours, value)
    assert "_Gru" in maker
    assert_close(found, expected)


def test_packed_sequences_and_inference_take_torchs_way() -> None:
    plain, ours = twins()
    value = torch.randn(3, 2, 6)
    packed = pack_padded_sequence(value, torch.tensor([3, 2]))
    assert "_Gru" not in ours(packed)[0].data.grad_fn.name()
    with torch.no_grad():
        assert torch.equal(ours(value)[0], plain(value)[0])
