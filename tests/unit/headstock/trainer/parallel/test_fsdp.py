"""What sharding a model does to it, on one rank, which has all shards; see also ``test_several_ranks.py``."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from headstock.distributed import ALONE
from headstock.trainer.parallel import fsdp
from headstock_registry import HeadstockError

CPU = torch.device("cpu")


class Net(nn.Module):
    """Three layers, of which the last two have tied weights, and something around them."""

    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(encoder_layerdrop=0.25, layerdrop=0.0)
        self.layers = nn.ModuleList([nn.Linear(8, 8) for _ in range(3)])
        self.layers[2].weight = self.layers[1].weight
        self.out = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x).relu()
        result: Tensor = self.out(x)
        return result


@pytest.fixture(autouse=True)
def group(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(fsdp, "MIN_LAYER_PARAMETERS", 1)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net()


def test_a_layer_that_stands_alone_is_gathered_by_itself(net: Net) -> None:
    assert not fsdp.is_sharded(net)
    fsdp.shard(net, net, ALONE, CPU)
    assert fsdp.is_sharded(net)
    assert [isinstance(layer, FSDPModule) for layer in net.layers] == [True, False, False]
    assert all(isinstance(parameter, DTensor) for parameter in net.parameters())


def test_layers_are_not_left_out_at_random(net: Net) -> None:
    assert fsdp.shard(net, net, ALONE, CPU) == ["encoder_layerdrop 0.25"]
    assert net.config.encoder_layerdrop == 0.0


def test_a_scalar_is_trained_nowhere(net: Net) -> None:
    net.scale = nn.Parameter(torch.tensor(2.0), requires_grad=False)
    fsdp.shard(net, net, ALONE, CPU)
    assert not isinstance(net.scale, DTensor)
    other = Net()
    other.scale = nn.Parameter(torch.tensor(2.0))
    with pytest.raises(HeadstockError, match="cannot shard 'scale', a scalar"):
        fsdp.shard(other, other, ALONE, CPU)


def test_whole_weights_are_sharded(net: Net) -> None:
    expected = {name: value.detach().clone() for name, value in net.state_dict().items()}
    x = torch.randn(4, 8)
    output = net(x).detach()
    fsdp.shard(net, net, ALONE, CPU)
    torch.testing.assert_close(net(x).detach(), output)
    parameters = dict(net.named_parameters())
    zeros = fsdp.shard_tensors({name: expected[name] * 0 for name in parameters}, parameters)
    net.load_state_dict(zeros, strict=False)
    assert not net(x).detach().any()


def test_gathered_it_is_what_it_was(net: Net) -> None:
    expected: dict[str, Any] = {name: value.detach().clone() for name, value in net.state_dict().items()}
    fsdp.shard(net, net, ALONE, CPU)
    net(torch.randn(4, 8)).sum().backward()
    fsdp.gather(net, ALONE)
    assert all(torch.equal(value, expected[name]) for name, value in net.state_dict().items())
    assert net.layers[1].weight is net.layers[2].weight
    assert not any(isinstance(parameter, DTensor) for parameter in net.parameters())
