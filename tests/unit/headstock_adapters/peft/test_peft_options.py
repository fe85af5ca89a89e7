from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from transformers import DistilBertConfig, DistilBertModel

from headstock import HeadstockError, TrainingFacts
from headstock.kits.pretrained import checkpoint_gradients
from headstock.recipe.errors import RecipeError, validated
from headstock_adapters.peft.adapter import METHODS, Peft, PeftOptions
from headstock_adapters.peft.methods import REFUSED

FACTS = TrainingFacts("any", "any", "peft", 100, pretrained=True, parameters=1000)


def refused(**options: Any) -> str:
    with pytest.raises(RecipeError) as caught:
        validated(PeftOptions, options, "adapter")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({}, "'adapter.method' is required"),
        ({"method": "ia4"}, "'adapter.method': peft .* has no method 'ia4'; did you mean .*ia3"),
        ({"method": "xlora"}, "method 'xlora' does not fit a backbone: it mixes LoRAs"),
        ({"method": "ia3", "options": {"rank": 3}}, "unknown option 'adapter.options.rank' of method 'ia3'; known: "),
        ({"method": "lora", "options": {"lora_alfa": 3}}, "did you mean lora_alpha"),
        ({"method": "lora", "options": {"r": "many"}}, "'adapter.options.r' .* should be a valid integer, got 'many'"),
        ({"method": "lora", "options": {"r": True}}, "'adapter.options.r' .* should be a valid integer, got True"),
        ({"method": "vera", "options": {"r": 0.5}}, "should be a valid integer"),
        ({"method": "loha", "options": {"init_weights": "maybe"}}, "should be a valid boolean"),
        ({"method": "lokr", "options": {"init_weights": "maybe"}}, "should be a valid boolean or 'lycoris'"),
        ({"method": "oft", "options": {"r": 4, "oft_block_size": 4}}, "adapter.options of method 'oft': "),
        ({"method": "trainable_tokens"}, "'adapter.options.token_indices' is required"),
        ({"method": "lora", "options": {"task_type": "SEQ_CLS"}}, "task_type means nothing here: a backbone has no"),
        ({"method": "lora", "options": {"target_modules": ["a"]}}, "say it as adapter.target_modules"),
        ({"method": "lora", "options": {"rank_pattern": {"(a+)+": 4}}}, "layers are named, not described by patterns"),
        ({"method": "lora", "options": {"init_lora_weights": "pissa"}}, "changes the backbone's own weights"),
        ({"method": "adalora", "options": {"r": 4}}, "AdaLoRA's rank is called init_r"),
        ({"method": "lora", "options": {"modules_to_save": ["a"]}}, "modules_to_save means nothing here"),
        ({"method": "prompt_tuning", "options": {"prompt_tuning_init": "TEXT"}}, "method 'prompt_tuning': "),
        ({"method": "ln_tuning", "also_train": ["norms"]}, "nothing can be trained beside method 'ln_tuning'"),
        ({"method": "lora", "also_train": ["bias"]}, "'adapter.also_train.0': input should be 'norms'"),
        ({"method": "prefix-tuning", "target_modules": ["key"]}, "method 'prefix_tuning' acts on no layers"),
    ],
)
def test_one_line_says_what_is_wrong(options: dict[str, Any], line: str) -> None:
    assert re.search(line, refused(**options))


@pytest.mark.parametrize("method", REFUSED)
def test_methods_that_mean_nothing_say_what_does(method: str) -> None:
    assert "; take " in refused(method=method)


@pytest.mark.parametrize("written", ["LN_TUNING", "ln-tuning", " ln_tuning"])
def test_a_method_is_found_however_it_is_written(written: str) -> None:
    assert PeftOptions(method=written).method == "ln_tuning"


@pytest.mark.parametrize("method", METHODS)
def test_each_method_has_a_rate(method: str) -> None:
    options = {"token_indices": [1]} if method == "trainable_tokens" else {}
    rate = Peft.trainer_defaults(PeftOptions(method=method, options=options), FACTS)["learning_rate"]
    assert 1e-4 <= rate <= 0.3


def attach(backbone: Any, **options: Any) -> None:
    Peft(PeftOptions(**options)).attach(backbone)


def test_layers_can_be_named(backbones: SimpleNamespace) -> None:
    backbone = backbones.bert()
    attach(backbone, method="ia3", target_modules=["key", "value"])
    trained = {name.split(".")[-3] for name, each in backbone.named_parameters() if each.requires_grad}
    assert trained == {"key", "value"}


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (["kei"], "adapter.target_modules: the backbone has no layer 'kei'; did you mean key"),
        (["LayerNorm"], "method 'ia3' has no effect on 'embeddings.LayerNorm', a LayerNorm"),
        (["(a+)+$"], "has no layer '\\(a\\+\\)\\+\\$'"),
    ],
)
def test_wrong_layers(backbones: SimpleNamespace, names: list[str], line: str) -> None:
    with pytest.raises(HeadstockError, match=line):
        attach(backbones.bert(), method="ia3", target_modules=names)


def test_what_peft_says_of_a_layer_is_one_line(backbones: SimpleNamespace) -> None:
    with pytest.raises(
        HeadstockError, match=r"method 'c3a' of adapter 'peft' does not fit this backbone: .*7"
    ) as caught:
        attach(backbones.bert(), method="c3a", options={"block_size": 7})
    assert "\n" not in str(caught.value)


def test_a_body_without_any_layer_for_peft(backbones: SimpleNamespace) -> None:
    with pytest.raises(HeadstockError, match="no method of peft fits it; take adapter 'full' or 'linear-probe'"):
        attach(backbones.recurrent(), method="vera")


def test_layers_that_are_not_called_are_left_out(backbones: SimpleNamespace) -> None:
    backbone = backbones.torch_transformer()
    attach(backbone, method="vera")
    wrapped = {name for name, each in backbone.named_parameters() if each.requires_grad}
    assert wrapped
    assert not any("out_proj" in name for name in wrapped)


def test_parts_that_stay_as_they_are(backbones: SimpleNamespace) -> None:
    backbone = backbones.bert()
    backbone.fixed_parts = lambda: (backbone.body.get_submodule("encoder.layer.0"),)
    attach(backbone, method="ln_tuning")
    trained = {name for name, each in backbone.named_parameters() if each.requires_grad}
    assert any("layer.1" in name for name in trained)
    assert not any("layer.0" in name for name in trained)


def test_prompts_need_positions(backbones: SimpleNamespace) -> None:
    backbone = backbones.bert()
    backbone.body.pooler = None
    backbone.max_length = 10
    with pytest.raises(
        HeadstockError, match=r"12 positions, .* 10 tokens and 3 .*set backbone.max_length to 9 or less"
    ):
        attach(backbone, method="prompt_tuning", options={"num_virtual_tokens": 3})


def test_a_pooler_would_read_the_prompt(backbones: SimpleNamespace) -> None:
    with pytest.raises(HeadstockError, match=r"set backbone\.pooling to mean, or take method prefix_tuning"):
        attach(backbones.bert(), method="p_tuning", options={"num_virtual_tokens": 3})


def test_prefixes_need_a_place_in_attention(backbones: SimpleNamespace) -> None:
    config = DistilBertConfig(vocab_size=20, dim=16, n_layers=1, n_heads=2, hidden_dim=16, max_position_embeddings=60)
    with pytest.raises(HeadstockError, match="DistilBertModel takes none; take method prompt_tuning"):
        attach(backbones.model(DistilBertModel(config)), method="prefix_tuning")


def test_prefixes_do_not_go_with_gradient_checkpointing(backbones: SimpleNamespace) -> None:
    backbone = backbones.bert()
    adapter = Peft(PeftOptions(method="prefix_tuning", options={"num_virtual_tokens": 3}))
    adapter.attach(backbone)
    checkpoint_gradients(backbone.body.get_base_model())
    adapter.set_mode(backbone, True)
    with pytest.raises(HeadstockError, match=r"do not go together with trainer\.gradient_checkpointing"):
        backbone({"ids": torch.arange(12).reshape(2, 6)})


def test_norms_that_are_not_there(backbones: SimpleNamespace) -> None:
    with pytest.raises(HeadstockError, match=r"adapter\.also_train: .* has no normalisation layer"):
        attach(backbones.module(nn.Sequential(nn.Linear(3, 3))), method="lora", also_train=["norms"])


def test_a_network_without_layers(backbones: SimpleNamespace) -> None:
    with pytest.raises(HeadstockError, match="finds no linear layer in the backbone's Identity"):
        attach(backbones.module(nn.Identity()), method="road")


@pytest.mark.parametrize("method", ["prompt_tuning", "prefix_tuning"])
def test_the_model_is_still_told_which_text_a_token_is_of(backbones: SimpleNamespace, method: str) -> None:
    backbone = backbones.bert()
    backbone.body.pooler = None
    attach(backbone, method=method, options={"num_virtual_tokens": 3})
    ids = torch.arange(12).reshape(2, 6)
    first, second = (
        backbone.body.eval()(input_ids=ids, attention_mask=torch.ones_like(ids), token_type_ids=kinds).last_hidden_state
        for kinds in (torch.zeros_like(ids), torch.tensor([[0, 0, 0, 1, 1, 1]] * 2))
    )
    assert first.shape == second.shape == (2, 6, 16)
    assert not torch.allclose(first, second)
