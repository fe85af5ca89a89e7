from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModel

from headstock import HeadstockError
from headstock.interfaces import Backbone
from headstock_adapters.peft.adapter import Peft, PeftOptions

IDS = {"ids": torch.arange(12).reshape(2, 6)}
OPTIONS: dict[str, dict[str, Any]] = {
    "ia3": {},
    "vera": {"r": 4},
    "ln_tuning": {},
    "lora+norms": {},
    "trainable_tokens": {"token_indices": [1, 2]},
    "prefix_tuning": {"num_virtual_tokens": 3, "prefix_projection": True, "encoder_hidden_size": 8},
    "prompt_tuning": {"num_virtual_tokens": 3},
}


def make(method: str) -> Peft:
    name, _, beside = method.partition("+")
    return Peft(PeftOptions(method=name, options=OPTIONS[method], also_train=[beside] if beside else []))


def bert(backbones: SimpleNamespace) -> Backbone:
    backbone: Backbone = backbones.bert()
    backbone.body.pooler = None
    return backbone


def tuned(backbone: Backbone, method: str, folder: Path) -> None:
    adapter = make(method)
    adapter.attach(backbone)
    with torch.no_grad():
        for parameter in backbone.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter))
    adapter.set_mode(backbone, False)
    adapter.save(backbone, folder)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # peft's own call into transformers
@pytest.mark.filterwarnings("ignore:.*past_key_values:FutureWarning")  # so is this
@pytest.mark.filterwarnings("ignore:Unsupported layer type:UserWarning")  # said of every normalisation layer
@pytest.mark.parametrize("method", OPTIONS)
def test_plain_peft_loads_it_onto_a_plain_model(backbones: SimpleNamespace, method: str, tmp_path: Path) -> None:
    backbone = bert(backbones)
    base, files = tmp_path / "base", tmp_path / "adapter"
    files.mkdir()
    backbone.body.save_pretrained(base)
    tuned(backbone, method, files)
    plain = PeftModel.from_pretrained(AutoModel.from_pretrained(base, add_pooling_layer=False), files).eval()
    mask = torch.ones_like(IDS["ids"])
    with torch.no_grad():
        expected = backbone.body(input_ids=IDS["ids"], attention_mask=mask).last_hidden_state
        found = plain(input_ids=IDS["ids"], attention_mask=mask).last_hidden_state
    assert torch.equal(found[:, -expected.shape[1] :], expected)


@pytest.mark.parametrize("method", OPTIONS)
def test_saved_and_loaded_gives_equal_outputs(backbones: SimpleNamespace, method: str, tmp_path: Path) -> None:
    backbone, fresh = bert(backbones), bert(backbones)
    tuned(backbone, method, tmp_path)
    make(method).load(fresh, tmp_path)
    with torch.no_grad():
        assert torch.equal(fresh.eval()(IDS).sequence, backbone(IDS).sequence)


def test_weights_that_could_be_pickled_are_not_read(backbones: SimpleNamespace, tmp_path: Path) -> None:
    backbone = bert(backbones)
    tuned(backbone, "ia3", tmp_path)
    torch.save(load_file(tmp_path / "adapter_model.safetensors"), tmp_path / "adapter_model.bin")
    (tmp_path / "adapter_model.safetensors").unlink()
    with pytest.raises(HeadstockError, match=r"has no adapter_model\.safetensors"):
        make("ia3").load(bert(backbones), tmp_path)


@pytest.mark.parametrize("method", ["ia3", "vera", "ln_tuning", "lora+norms"])
def test_files_that_lack_weights(backbones: SimpleNamespace, method: str, tmp_path: Path) -> None:
    backbone = bert(backbones)
    tuned(backbone, method, tmp_path)
    weights = load_file(tmp_path / "adapter_model.safetensors")
    weights.pop(sorted(weights)[0])
    save_file(weights, tmp_path / "adapter_model.safetensors")
    with pytest.raises(HeadstockError, match="cannot load the adapter in ") as caught:
        make(method).load(bert(backbones), tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", ["trainable_tokens", "prompt_tuning", "prefix_tuning"])
def test_files_without_any_weight(backbones: SimpleNamespace, method: str, tmp_path: Path) -> None:
    backbone = bert(backbones)
    tuned(backbone, method, tmp_path)
    save_file({}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(HeadstockError, match="cannot load the adapter in "):
        make(method).load(bert(backbones), tmp_path)


def test_damaged_files(backbones: SimpleNamespace, tmp_path: Path) -> None:
    tuned(bert(backbones), "ia3", tmp_path)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"damaged")
    with pytest.raises(HeadstockError, match="cannot load the adapter in "):
        make("ia3").load(bert(backbones), tmp_path)
    (tmp_path / "adapter_config.json").write_text("[]")
    with pytest.raises(HeadstockError, match=r"cannot load the adapter: .*adapter_config\.json: "):
        make("ia3").load(bert(backbones), tmp_path)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"target_modules": "(.*a)*(.*a)*b"}, "target_modules should be a list of names"),
        ({"target_modules": ["nowhere"]}, "the backbone has no layer 'nowhere'"),
        ({"exclude_modules": "(a+)+$"}, "exclude_modules"),
        ({"layers_to_transform": [0], "layers_pattern": "(a+)+"}, "layers_pattern"),
        ({"modules_to_save": ["(a+)+"]}, "modules_to_save"),
        ({"peft_type": "LORA"}, "peft_type is 'LORA', but the run's method is 'vera'"),
        ({"from_the_future": "something"}, "from_the_future"),
        ({"bias": "all"}, "bias"),
        ({"r": 5}, "r is 5, but the run's is 4"),
        ({"vera_dropout": "much"}, "vera_dropout"),
    ],
)
def test_settings_are_names_and_numbers(
    backbones: SimpleNamespace, change: dict[str, object], problem: str, tmp_path: Path
) -> None:
    tuned(bert(backbones), "vera", tmp_path)
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(HeadstockError, match="cannot load the adapter") as caught:
        make("vera").load(bert(backbones), tmp_path)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_size_that_no_memory_holds(backbones: SimpleNamespace, tmp_path: Path) -> None:
    adapter = Peft(PeftOptions(method="vera"))
    backbone = bert(backbones)
    adapter.attach(backbone)
    adapter.save(backbone, tmp_path)
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "r": 10**9}))
    with pytest.raises(HeadstockError, match="r: 1000000000 is too large"):
        adapter.load(bert(backbones), tmp_path)


def test_norms_are_trained_as_copies(backbones: SimpleNamespace, tmp_path: Path) -> None:
    backbone = bert(backbones)
    before = {name: value.clone() for name, value in backbone.body.state_dict().items() if "LayerNorm" in name}
    tuned(backbone, "lora+norms", tmp_path)
    after = [value for name, value in backbone.body.state_dict().items() if "original_module" in name]
    assert len(before) == len(after) == 10
    assert all(value.equal(kept) for value, kept in zip(before.values(), after, strict=True))
    with torch.no_grad():
        apart = backbone(IDS).sequence
        make("lora+norms").merge(backbone)
        torch.testing.assert_close(backbone.eval()(IDS).sequence, apart)
    assert {name for name, _ in backbone.body.named_parameters()} == {
        name for name, _ in bert(backbones).body.named_parameters()
    }


def test_copies_of_other_layers_are_not_read(backbones: SimpleNamespace, tmp_path: Path) -> None:
    tuned(bert(backbones), "lora+norms", tmp_path)
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "modules_to_save": ["(a+)+"]}))
    with pytest.raises(HeadstockError, match="modules_to_save are not the normalisation layers"):
        make("lora+norms").load(bert(backbones), tmp_path)


@pytest.mark.parametrize("method", ["ln_tuning", "vera", "lora+norms"])
def test_many_layers_whose_names_peft_shortens(backbones: SimpleNamespace, method: str, tmp_path: Path) -> None:
    def deep() -> Backbone:
        torch.manual_seed(0)
        network = nn.Sequential()
        for index in range(24):
            network.add_module(
                f"block{index}", nn.Sequential(OrderedDict(linear=nn.Linear(8, 8), norm=nn.LayerNorm(8)))
            )
        backbone: Backbone = backbones.module(network)
        return backbone

    backbone, fresh, states = deep(), deep(), {"pixels": torch.linspace(0, 1, 80).reshape(2, 5, 8)}
    tuned(backbone, method, tmp_path)
    make(method).load(fresh, tmp_path)
    with torch.no_grad():
        assert torch.equal(fresh.eval()(states).sequence, backbone(states).sequence)
    written = json.loads((tmp_path / "adapter_config.json").read_text())["target_modules"]
    assert len(written) < 24
