"""The layer that trains faster than peft's computes what peft's does."""

import copy

import peft
import pytest
import torch
from peft.tuners.lora import Linear
from torch import Tensor, nn

from headstock_adapters.low_rank import LowRankLinear

WIDTH, OUT, RANK = 6, 5, 2


def make(dropout: float = 0.0, **options: bool) -> LowRankLinear:
    """Return a layer of which both matrices are random."""
    torch.manual_seed(0)
    config = peft.LoraConfig(r=RANK, lora_alpha=3, lora_dropout=dropout, target_modules=["0"], **options)
    config._register_custom_module({nn.Linear: LowRankLinear})
    model = peft.get_peft_model(nn.Sequential(nn.Linear(WIDTH, OUT)), config)  # type: ignore[arg-type]
    layer = next(module for module in model.modules() if isinstance(module, LowRankLinear))
    nn.init.normal_(layer.lora_B["default"].weight)
    return layer


def given() -> Tensor:
    return torch.randn(3, 4, WIDTH, generator=torch.Generator().manual_seed(1)).requires_grad_()


def both(layer: LowRankLinear, precision: torch.dtype) -> list[list[Tensor]]:
    """Return output and gradients (input, A, B) of the layer and of peft's own way through it."""
    found = []
    for forward in (layer.forward, lambda x: Linear.forward(layer, x)):
        x = given()
        layer.zero_grad()
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            output = forward(x)
        output.float().square().sum().backward()
        gradients = [x.grad, layer.lora_A["default"].weight.grad, layer.lora_B["default"].weight.grad]
        found.append([output.detach(), *(gradient.clone() for gradient in gradients if gradient is not None)])
    return found


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_output_and_gradients_are_pefts(precision: torch.dtype) -> None:
    mine, theirs = both(make(), precision)
    assert len(mine) == len(theirs) == 4
    for own, other in zip(mine, theirs, strict=True):
        assert own.dtype == other.dtype
        loose = {"rtol": 2e-2, "atol": 5e-2 * float(other.abs().max())} if precision == torch.bfloat16 else {}
        torch.testing.assert_close(own, other, **loose)


def test_gradients_with_dropout_are_those_of_the_output() -> None:
    layer = make(dropout=0.5).double().train()
    names = ("lora_A.default.weight", "lora_B.default.weight")
    matrices = [layer.get_parameter(name).detach().clone().requires_grad_() for name in names]

    def output(x: Tensor, *values: Tensor) -> Tensor:
        torch.manual_seed(2)
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,))  # type: ignore[no-any-return]

    assert torch.autograd.gradcheck(output, (given().detach().double().requires_grad_(), *matrices))


def test_dropout_keeps_the_mean_and_is_off_in_evaluation() -> None:
    layer = make(dropout=0.5)
    x = given().detach()
    expected = layer.eval()(x)
    torch.testing.assert_close(expected, Linear.forward(layer, x))
    layer.train()
    drawn = torch.stack([layer(x) for _ in range(4000)])
    assert not torch.equal(drawn[0], drawn[1])
    torch.testing.assert_close(drawn.mean(dim=0), expected, atol=0.15, rtol=0)


def test_a_frozen_weight_that_changes_is_cast_again() -> None:
    layer = make()
    with torch.autocast("cpu", torch.bfloat16):
        layer(given())
        with torch.no_grad():
            layer.get_base_layer().weight.mul_(2)
        torch.testing.assert_close(layer(given()), Linear.forward(layer, given()), rtol=2e-2, atol=5e-2)


def test_a_copy_does_not_share_what_was_cast() -> None:
    layer = make()
    with torch.autocast("cpu", torch.bfloat16):
        layer(given())
        other = copy.deepcopy(layer)
        with torch.no_grad():
            other.get_base_layer().weight.zero_()
        torch.testing.assert_close(other(given()), Linear.forward(other, given()), rtol=2e-2, atol=5e-2)


def test_the_output_may_be_changed_in_place() -> None:
    layer = make()
    output = layer(given())
    output[0, 0] = 0
    output.sum().backward()
    assert layer.lora_B["default"].weight.grad is not None


def test_what_is_not_plain_is_left_to_peft() -> None:
    dora = make(use_dora=True)
    assert torch.equal(dora(given()), Linear.forward(dora, given()))
    merged = make()
    expected = merged(given())
    merged.merge()
    torch.testing.assert_close(merged(given()), expected)
