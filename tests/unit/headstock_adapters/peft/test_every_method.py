"""Every method of peft on small bodies of each kind: it trains what it added, and comes back from disk the same."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from transformers import ViTConfig, ViTModel, WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from headstock import HeadstockError
from headstock.interfaces import Backbone
from headstock_adapters.peft.adapter import METHODS, Peft

TEXT_ONLY = {"cartridge", "p_tuning", "prefix_tuning", "prompt_tuning", "trainable_tokens"}
CONVOLUTIONAL = {"adalora", "boft", "hira", "hra", "ia3", "ln_tuning", "loha", "lokr", "lora"}
NOT_AT_BASE = {"cartridge", "p_tuning", "prefix_tuning", "prompt_tuning", "unilora", "vblora"}
LEAST = {"text": 40, "image": 35, "speech": 35, "layers": 34, "convolutions": 9}
"""How many methods fit a body; what peft takes away or adds is to be seen."""


class Body(NamedTuple):
    make: Callable[[SimpleNamespace], Backbone]
    inputs: dict[str, Tensor]


def bert(backbones: SimpleNamespace) -> Backbone:
    backbone: Backbone = backbones.bert()
    backbone.body.pooler = None  # as backbones do without its vector
    return backbone


def jittered(backbone: Backbone) -> Backbone:
    """Return it with noise on its weights: behind zeros, some methods have nothing to multiply."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return backbone


def vit(backbones: SimpleNamespace) -> Backbone:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    config = ViTConfig(image_size=8, patch_size=4, **sizes)
    return backbones.model(ViTModel(config, add_pooling_layer=False))


def whisper(backbones: SimpleNamespace) -> Backbone:
    torch.manual_seed(0)
    sizes = {"d_model": 16, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 24}
    return backbones.model(WhisperEncoder(WhisperConfig(num_mel_bins=8, max_source_positions=10, **sizes)))


class Convolutions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.GroupNorm(2, 8)
        self.second = nn.Conv2d(8, 16, 3, stride=2, padding=1)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.second(self.norm(self.first(pixels)).relu()).flatten(2).transpose(1, 2)


def convolutions(backbones: SimpleNamespace) -> Backbone:
    torch.manual_seed(0)
    return backbones.module(Convolutions(), 16)


BODIES = {
    "text": Body(bert, {"ids": torch.arange(12).reshape(2, 6)}),
    "image": Body(vit, {"pixels": torch.linspace(-1, 1, 384).reshape(2, 3, 8, 8)}),
    "speech": Body(whisper, {"pixels": torch.linspace(-1, 1, 320).reshape(2, 8, 20)}),
    "layers": Body(
        lambda backbones: backbones.torch_transformer(), {"pixels": torch.linspace(0, 1, 80).reshape(2, 5, 8)}
    ),
    "convolutions": Body(convolutions, {"pixels": torch.linspace(-1, 1, 384).reshape(2, 3, 8, 8)}),
}


def adapter_for(method: str) -> Peft:
    options: dict[str, Any] = {}
    if method == "trainable_tokens":
        options["token_indices"] = [1, 5, 7]
    elif method in TEXT_ONLY:
        options["num_virtual_tokens"] = 3
    return Peft(Peft.Config(method=method, options=options))


def fits(method: str, body: str) -> bool:
    if body == "text":
        return True
    return method in CONVOLUTIONAL if body == "convolutions" else method not in TEXT_ONLY


@pytest.fixture(scope="module")
def made() -> dict[str, Backbone]:
    return {}


@pytest.mark.filterwarnings("ignore:Sparse invariant checks:UserWarning")  # of FRoD
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("method", METHODS)
def test_method(method: str, body: str, made: dict[str, Backbone], backbones: SimpleNamespace, tmp_path: Path) -> None:
    plain = made[body] if body in made else jittered(BODIES[body].make(backbones)).eval()
    made[body] = plain
    inputs, backbone, adapter = BODIES[body].inputs, deepcopy(plain), adapter_for(method)
    if not fits(method, body):
        with pytest.raises(HeadstockError, match=f"'{method}'.*; take ") as caught:
            adapter.attach(backbone)
        assert "\n" not in str(caught.value)
        return
    base = {name: value.clone() for name, value in plain.body.state_dict().items()}
    torch.manual_seed(1)
    adapter.attach(backbone)
    adapter.set_mode(backbone, False)
    with torch.no_grad():
        untuned, started = plain(inputs).sequence, backbone(inputs).sequence
    assert untuned.shape == started.shape
    assert method in NOT_AT_BASE or torch.allclose(untuned, started, atol=1e-5)

    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    trained = [parameter for parameter in backbone.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.01, weight_decay=0.1)
    for _ in range(2):
        adapter.set_mode(backbone, True)
        optimizer.zero_grad()
        backbone(inputs).sequence.pow(3).sum().backward()
        optimizer.step()
    after = backbone.state_dict()
    marked = {name for name, each in backbone.named_parameters(remove_duplicate=False) if each.requires_grad}
    assert {name for name, value in after.items() if not value.equal(before[name])} == marked
    kept = [value for name, value in after.items() if name not in marked]
    assert all(any(each.shape == value.shape and each.equal(value) for each in kept) for value in base.values())

    adapter.set_mode(backbone, False)
    adapter.save(backbone, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    fresh = deepcopy(plain)
    torch.manual_seed(2)
    adapter_for(method).load(fresh, tmp_path)
    assert not any(parameter.requires_grad for parameter in fresh.parameters())
    adapter.set_mode(fresh, False)
    with torch.no_grad():
        tuned = backbone(inputs).sequence
        assert torch.equal(fresh(inputs).sequence, tuned)
        assert not torch.equal(tuned, started)
        try:
            adapter.merge(fresh)
        except NotImplementedError:
            return
        torch.testing.assert_close(fresh.eval()(inputs).sequence, tuned, rtol=1e-4, atol=1e-4)
    assert {name for name, _ in fresh.body.named_parameters()} == {name for name, _ in plain.body.named_parameters()}


@pytest.mark.parametrize("body", BODIES)
def test_as_many_methods_fit_as_before(body: str) -> None:
    assert sum(fits(method, body) for method in METHODS) >= LEAST[body]
