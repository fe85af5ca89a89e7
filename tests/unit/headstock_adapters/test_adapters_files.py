from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModel

from headstock import HeadstockError
from headstock.interfaces import Adapter, Backbone
from headstock_adapters.lora import Lora
from headstock_adapters.plugin import headstock_entries
from headstock_registry import Entry

IDS = {"ids": torch.arange(12).reshape(2, 6)}
PIXELS = {"pixels": torch.linspace(-1, 1, 216).reshape(2, 3, 6, 6)}


def tuned(backbone: Backbone) -> Lora:
    adapter = Lora(Lora.Config())
    adapter.attach(backbone)
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    adapter.set_mode(backbone, False)
    return adapter


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [("bert", IDS), ("conv", PIXELS), ("torch_transformer", {"pixels": torch.linspace(0, 1, 80).reshape(2, 5, 8)})],
    ids=["bert", "conv", "torch-transformer"],
)
def test_saved_and_loaded_gives_equal_outputs(
    backbones: SimpleNamespace, kind: str, inputs: dict[str, Tensor], tmp_path: Path
) -> None:
    backbone, fresh = getattr(backbones, kind)(), getattr(backbones, kind)()
    tuned(backbone).save(backbone, tmp_path)
    assert {"adapter_config.json", "adapter_model.safetensors"} <= {path.name for path in tmp_path.iterdir()}
    adapter = Lora(Lora.Config())
    fresh.eval()
    with torch.no_grad():
        untuned = fresh(inputs).sequence
        adapter.load(fresh, tmp_path)
        adapter.set_mode(fresh, False)
        expected = backbone(inputs).sequence
        assert torch.equal(fresh(inputs).sequence, expected)
    assert not torch.allclose(untuned, expected)
    assert not any(parameter.requires_grad for parameter in fresh.parameters())


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # peft's own call into transformers
def test_plain_peft_loads_it_onto_a_plain_model(backbones: SimpleNamespace, tmp_path: Path) -> None:
    backbone = backbones.bert()
    base, files = tmp_path / "base", tmp_path / "adapter"
    backbone.body.save_pretrained(base)
    tuned(backbone).save(backbone, files)
    plain = PeftModel.from_pretrained(AutoModel.from_pretrained(base), files).eval()
    with torch.no_grad():
        expected = backbone.body(input_ids=IDS["ids"]).last_hidden_state
        assert torch.equal(plain(input_ids=IDS["ids"]).last_hidden_state, expected)


def test_nothing_but_added_matrices_is_saved(backbones: SimpleNamespace, tmp_path: Path) -> None:
    backbone = backbones.bert()
    tuned(backbone).save(backbone, tmp_path)
    assert all("lora_" in name for name in load_file(tmp_path / "adapter_model.safetensors"))


def test_loading_from_an_empty_folder(backbones: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(HeadstockError, match=r"has no adapter_config\.json"):
        Lora(Lora.Config()).load(backbones.bert(), tmp_path)


def test_loading_files_that_lack_a_matrix(backbones: SimpleNamespace, tmp_path: Path) -> None:
    backbone = backbones.bert()
    tuned(backbone).save(backbone, tmp_path)
    weights = load_file(tmp_path / "adapter_model.safetensors")
    weights.pop(sorted(weights)[0])
    save_file(weights, tmp_path / "adapter_model.safetensors")
    with pytest.raises(HeadstockError, match=r"cannot load the adapter in .*missing adapter keys"):
        Lora(Lora.Config()).load(backbones.bert(), tmp_path)


def test_loading_damaged_files(backbones: SimpleNamespace, tmp_path: Path) -> None:
    backbone = backbones.bert()
    tuned(backbone).save(backbone, tmp_path)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"damaged")
    with pytest.raises(HeadstockError, match="cannot load the adapter in "):
        Lora(Lora.Config()).load(backbones.bert(), tmp_path)


def test_entries_resolve_to_adapters() -> None:
    entries: list[Entry] = headstock_entries()
    assert [entry.name for entry in entries] == ["full", "linear-probe", "bitfit", "lora", "bottleneck", "peft"]
    for entry in entries:
        module, attribute = entry.target.split(":")
        assert issubclass(getattr(importlib.import_module(module), attribute), Adapter)
        assert entry.kind == "adapter"
        assert entry.modality is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"target_modules": "(.*a)*(.*a)*(.*a)*b"}, "target_modules"),
        ({"exclude_modules": "(a+)+$"}, "exclude_modules"),
        ({"rank_pattern": {"(a+)+$": 4}}, "rank_pattern"),
        ({"layers_to_transform": [0], "layers_pattern": "(a+)+"}, "layers_pattern"),
        ({"modules_to_save": ["(a+)+"]}, "modules_to_save"),
        ({"megatron_config": {"a": 1}, "megatron_core": "evil"}, "megatron_c"),
        ({"peft_type": "XLORA", "adapters": {"0": "/somewhere"}}, "peft_type"),
        ({"from_the_future": "something"}, "from_the_future"),
        ({"r": 10**9}, "r is 1000000000, but"),
        ({"r": "many"}, "r: "),
    ],
)
def test_settings_are_names_and_numbers_that_nothing_evaluates(
    backbones: SimpleNamespace, change: dict[str, object], problem: str, tmp_path: Path
) -> None:
    backbone = backbones.bert()
    tuned(backbone).save(backbone, tmp_path)
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(HeadstockError, match="cannot load the adapter") as caught:
        Lora(Lora.Config()).load(backbones.bert(), tmp_path)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_in_a_recipe_is_no_pattern(backbones: SimpleNamespace) -> None:
    with pytest.raises(HeadstockError, match="has no layer '\\(a\\+\\)\\+\\$'"):
        Lora(Lora.Config(target_modules=["(a+)+$"])).attach(backbones.bert())
