"""Gated recurrent layers give torch's numbers, and others are left alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from headstock.interfaces import Batch, Loss, StepOutput
from headstock.trainer.kernels.recurrent import quick_recurrence


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


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"batch_first": True}], ids=["plain", "no bias", "batch"])
@pytest.mark.parametrize("places", [1, 2, 9])
@pytest.mark.parametrize("starts", [False, True], ids=["zero", "state"])
def test_outputs_and_gradients_are_those_of_torch(options: dict[str, bool], places: int, starts: bool) -> None:
    layer = nn.GRU(6, 5, **options)
    shape = (4, places) if options.get("batch_first") else (places, 4)
    inputs = (torch.randn(*shape, 6), *([torch.randn(1, 4, 5)] if starts else []))
    expected, _ = trained(layer, *inputs)
    with quick_recurrence():
        found, maker = trained(layer, *inputs)
    assert "_Gru" in maker
    assert len(found) == len(expected) == 2 + len(inputs) + len(list(layer.parameters()))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_a_gradient_can_be_differentiated_again() -> None:
    layer = nn.GRU(6, 5)

    def second(value: Tensor) -> list[Tensor]:
        layer.zero_grad()
        (first,) = torch.autograd.grad(layer(value)[0].square().sum(), value, create_graph=True)
        first.square().sum().backward()
        return [each.grad for each in layer.parameters() if each.grad is not None]

    value = torch.randn(3, 2, 6, requires_grad=True)
    expected = second(value)
    with quick_recurrence():
        found = second(value)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_frozen_weights_pass_gradients_on() -> None:
    layer = nn.GRU(6, 5).requires_grad_(False)
    value = torch.randn(3, 2, 6)
    expected, _ = trained(layer, value)
    with quick_recurrence():
        found, maker = trained(layer, value)
    assert "_Gru" in maker
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_autocast_is_kept_away() -> None:
    layer, value = nn.GRU(6, 5), torch.randn(3, 2, 6)
    expected, _ = trained(layer, value)
    with quick_recurrence(), torch.autocast("cpu", torch.bfloat16):
        found, maker = trained(layer, value)
    assert "_Gru" in maker
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("options", [{"num_layers": 2}, {"bidirectional": True}], ids=["layers", "directions"])
def test_layers_of_other_kinds_are_left_alone(options: dict[str, Any]) -> None:
    layer, value = nn.GRU(6, 5, **options), torch.randn(3, 2, 6)
    expected, maker = trained(layer, value)
    with quick_recurrence():
        found, same = trained(layer, value)
    assert same == maker
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_packed_sequences_and_inference_are_left_alone() -> None:
    layer, value = nn.GRU(6, 5), torch.randn(3, 2, 6)
    packed = pack_padded_sequence(value, torch.tensor([3, 2]))
    with torch.no_grad():
        expected = layer(value)[0]
    with quick_recurrence():
        assert "_Gru" not in layer(packed)[0].data.grad_fn.name()
        with torch.no_grad():
            assert torch.equal(layer(value)[0], expected)


def test_torch_is_as_it_was_after_an_error() -> None:
    layer, value = nn.GRU(6, 5), torch.randn(3, 2, 6)
    with pytest.raises(KeyError), quick_recurrence():
        raise KeyError
    assert "_Gru" not in trained(layer, value)[1]


def test_training_takes_the_quick_way(make_trainer: Any) -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.GRU(3, 4, batch_first=True)
            self.last = nn.Linear(4, 1)
            self.makers: set[str] = set()

        def forward(self, batch: Batch) -> StepOutput:
            states, _ = self.layer(batch.inputs["x"].unsqueeze(1).expand(-1, 2, -1)[..., :3])
            if states.grad_fn is not None:
                self.makers.add(states.grad_fn.next_functions[0][0].name())
            predicted = self.last(states[:, -1])[:, 0]
            total = (predicted - batch.targets["y"]).square().sum()
            return StepOutput({"y": predicted}, Loss(total, torch.tensor(float(batch.size))))

    model, trainer = make_trainer(model=Recurrent(), epochs=1)
    trainer.fit()
    assert len(model.makers) == 1
    assert "_Gru" in model.makers.pop()
