from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from headstock.trainer.config import TrainerConfig
from headstock.trainer.kernels.packed_linear import packed_weights, works

CPU = torch.device("cpu")
BF16 = TrainerConfig(precision="bf16")
PACKED = "mkldnn::_linear_pointwise"


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(128, 256), nn.GELU(), nn.Linear(256, 128, bias=False), nn.Linear(128, 2))


def outputs(model: nn.Module, value: Tensor, precision: str = "bf16", grad: bool = False) -> tuple[Tensor, int]:
    """Return what a model makes of a value, and how many products with packed weights it took."""
    with (
        torch.set_grad_enabled(grad),
        torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"),
        torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile,
    ):
        found = model(value)
    return found.detach(), sum(event.count for event in profile.key_averages() if event.key == PACKED)


def test_numbers_are_those_of_the_plain_layers() -> None:
    model, value = network(), torch.randn(3, 40, 128)
    expected, none = outputs(model, value)
    with packed_weights(model, BF16, CPU):
        found, products = outputs(model, value)
        again, _ = outputs(model, value[:1])
    assert (none, products) == (0, 2 if works() else 0)  # the last layer is too small to be worth it
    assert found.dtype == expected.dtype == torch.bfloat16
    assert (found.float() - expected.float()).abs().max() <= 0.02 * expected.abs().max()
    assert (again.float() - expected[:1].float()).abs().max() <= 0.02 * expected.abs().max()


def test_layers_are_as_before_afterwards() -> None:
    model, value = network(), torch.randn(5, 128)
    with packed_weights(model, BF16, CPU):
        outputs(model, value)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    found, products = outputs(model, value)
    assert products == 0
    assert not found.any()


def test_new_weights_are_used_the_next_time() -> None:
    model, value = network(), torch.randn(5, 128)
    for scale in (1.0, 0.0):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(scale)
        with packed_weights(model, BF16, CPU):
            assert outputs(model, value)[0].any() == bool(scale)


@pytest.mark.parametrize(
    "config",
    [
        TrainerConfig(precision="fp32"),
        TrainerConfig(precision="bf16", pack_weights=False),
        TrainerConfig(precision="bf16", compile=True),
    ],
)
def test_off_where_it_does_not_serve(config: TrainerConfig) -> None:
    model = network()
    with packed_weights(model, config, CPU):
        assert outputs(model, torch.randn(5, 128))[1] == 0


def test_gradients_and_float32_go_past_it() -> None:
    model, value = network(), torch.randn(5, 128)
    with packed_weights(model, BF16, CPU):
        assert outputs(model, value, grad=True)[1] == 0
        assert outputs(model, value, precision="fp32")[1] == 0


def test_layers_of_other_classes_are_left_alone() -> None:
    class Doubled(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return 2 * super().forward(input)

    model = nn.Sequential(Doubled(128, 256))
    with packed_weights(model, BF16, CPU):
        assert outputs(model, torch.randn(5, 128))[1] == 0
