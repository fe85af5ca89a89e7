from __future__ import annotations

import warnings
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from transformers import WavLMConfig, WavLMModel

from headstock import HeadstockError
from headstock.interfaces import Adapter, Backbone
from headstock_adapters.bitfit import BitFit
from headstock_adapters.full import Full
from headstock_adapters.linear_probe import LinearProbe
from headstock_adapters.lora import Lora

INPUTS = {
    "bert": lambda: {"ids": torch.arange(12).reshape(2, 6)},
    "conv": lambda: {"pixels": torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(1))},
}


def make(adapter: type[Adapter], **options: object) -> Adapter:
    return adapter(adapter.Config(**options))


def snapshot(backbone: Backbone) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in backbone.state_dict().items()}


def train_step(adapter: Adapter, backbone: Backbone, inputs: dict[str, Tensor]) -> set[str]:
    """Train one step with a head and return the names of tensors that changed."""
    adapter.set_mode(backbone, True)
    head = nn.Linear(backbone.feature_dim, 1)
    trained = [parameter for parameter in [*backbone.parameters(), *head.parameters()] if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.1, weight_decay=0.1)
    before = snapshot(backbone)
    for _ in range(2):
        optimizer.zero_grad()
        head(backbone(inputs).pooled).square().sum().backward()
        optimizer.step()
    return {name for name, value in snapshot(backbone).items() if not torch.equal(value, before[name])}


@pytest.mark.parametrize("kind", ["bert", "conv"])
def test_full_trains_everything(backbones: SimpleNamespace, kind: str) -> None:
    backbone = getattr(backbones, kind)()
    backbone.requires_grad_(False)
    adapter = make(Full)
    adapter.attach(backbone)
    assert all(parameter.requires_grad for parameter in backbone.parameters())
    changed = train_step(adapter, backbone, INPUTS[kind]())
    unused = {"body.embeddings.word_embeddings.weight"} | {
        name for name in backbone.state_dict() if "pooler" in name or "position_ids" in name
    }
    assert changed >= {name for name, _ in backbone.named_parameters()} - unused


@pytest.mark.parametrize("kind", ["bert", "conv"])
def test_linear_probe_changes_nothing_and_stays_in_evaluation_mode(backbones: SimpleNamespace, kind: str) -> None:
    backbone = getattr(backbones, kind)()
    adapter = make(LinearProbe)
    adapter.attach(backbone)
    assert train_step(adapter, backbone, INPUTS[kind]()) == set()
    assert not any(module.training for module in backbone.modules())


@pytest.mark.parametrize("kind", ["bert", "conv"])
def test_bitfit_changes_biases_only(backbones: SimpleNamespace, kind: str) -> None:
    backbone = getattr(backbones, kind)()
    adapter = make(BitFit)
    adapter.attach(backbone)
    changed = train_step(adapter, backbone, INPUTS[kind]())
    assert changed
    assert all(name.startswith("body.") and name.endswith("bias") for name in changed)
    assert backbone.body.training
    expected = {"conv": "body.attention.in_proj_bias", "bert": "body.encoder.layer.0.attention.output.LayerNorm.bias"}
    assert expected[kind] in changed


def test_bitfit_finds_the_biases_of_recurrent_layers(backbones: SimpleNamespace) -> None:
    backbone = backbones.recurrent()
    make(BitFit).attach(backbone)
    trained = {name for name, parameter in backbone.named_parameters() if parameter.requires_grad}
    assert trained == {f"body.rnn.bias_{part}_l0{end}" for part in ("ih", "hh") for end in ("", "_reverse")}


def test_bitfit_needs_a_bias(backbones: SimpleNamespace) -> None:
    with pytest.raises(HeadstockError, match="Linear has none; take 'lora'"):
        make(BitFit).attach(backbones.module(nn.Linear(3, 3, bias=False)))


@pytest.mark.parametrize("kind", ["bert", "conv"])
@pytest.mark.parametrize("options", [{}, {"use_dora": True}, {"rslora": True, "r": 3}])
def test_lora_changes_only_what_it_added(backbones: SimpleNamespace, kind: str, options: dict[str, object]) -> None:
    backbone = getattr(backbones, kind)()
    inputs = INPUTS[kind]()
    backbone.eval()
    with torch.no_grad():
        untouched = backbone(inputs).sequence
    adapter = make(Lora, **options)
    adapter.attach(backbone)
    adapter.set_mode(backbone, False)
    with torch.no_grad():
        torch.testing.assert_close(backbone(inputs).sequence, untouched)
    changed = train_step(adapter, backbone, inputs)
    assert changed
    assert all("lora_" in name for name in changed)


def test_lora_in_training_keeps_statistics_but_drops_out(backbones: SimpleNamespace) -> None:
    backbone = backbones.conv()
    adapter = make(Lora)
    adapter.attach(backbone)
    adapter.set_mode(backbone, True)
    net = backbone.body.get_base_model()
    assert net.drop.training
    assert not net.norm.training
    adapter.set_mode(backbone, False)
    assert not any(module.training for module in backbone.modules())


def test_lora_acts_the_same_in_both_modes(backbones: SimpleNamespace) -> None:
    backbone = backbones.torch_transformer()
    adapter = make(Lora, dropout=0.0)
    adapter.attach(backbone)
    inputs = {"pixels": torch.rand(2, 5, 8)}
    train_step(adapter, backbone, inputs)
    trained = backbone(inputs).sequence
    adapter.set_mode(backbone, False)
    with torch.no_grad():
        torch.testing.assert_close(backbone(inputs).sequence, trained)


def test_lora_auto_takes_every_layer_that_can_learn(backbones: SimpleNamespace) -> None:
    backbone = backbones.conv()
    make(Lora).attach(backbone)
    adapted = {name.split(".lora_A")[0] for name, _ in backbone.body.named_parameters() if "lora_A" in name}
    assert adapted == {"base_model.model.conv", "base_model.model.out"}


def test_lora_matrices_are_float32_on_a_bfloat16_backbone(backbones: SimpleNamespace) -> None:
    backbone = backbones.bert().bfloat16()
    make(Lora).attach(backbone)
    assert {parameter.dtype for parameter in backbone.parameters() if parameter.requires_grad} == {torch.float32}


def test_lora_trains_under_autocast_and_gradient_checkpointing(backbones: SimpleNamespace) -> None:
    backbone = backbones.bert()
    adapter = make(Lora)
    adapter.attach(backbone)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # newer transformers call it activation_checkpointing_enable
        backbone.body.gradient_checkpointing_enable({"use_reentrant": False})
    with torch.autocast("cpu", dtype=torch.bfloat16):
        changed = train_step(adapter, backbone, INPUTS["bert"]())
    assert any("layer.0.attention.self.query.lora_B" in name for name in changed)
    assert all("lora_" in name for name in changed)


def test_lora_with_named_layers(backbones: SimpleNamespace) -> None:
    backbone = backbones.bert()
    make(Lora, target_modules=["query", "encoder.layer.1.output.dense"]).attach(backbone)
    adapted = {name.split(".lora_A")[0] for name, _ in backbone.body.named_parameters() if "lora_A" in name}
    assert {name.removeprefix("base_model.model.encoder.") for name in adapted} == {
        "layer.0.attention.self.query",
        "layer.1.attention.self.query",
        "layer.1.output.dense",
    }


def test_lora_names_a_layer_that_is_not_there(backbones: SimpleNamespace) -> None:
    with pytest.raises(HeadstockError, match=r"no layer 'qery'; its layers: dense, key.*query"):
        make(Lora, target_modules=["query", "qery"]).attach(backbones.bert())


def test_lora_names_a_layer_that_it_does_not_fit(backbones: SimpleNamespace) -> None:
    with pytest.raises(HeadstockError, match=r"'rnn' is a LSTM; LoRA fits Linear, "):
        make(Lora, target_modules=["rnn"]).attach(backbones.recurrent())


def test_lora_refuses_a_layer_that_is_never_called(backbones: SimpleNamespace) -> None:
    with pytest.raises(HeadstockError, match="LoRA on 'out_proj' would have no effect"):
        make(Lora, target_modules=["out_proj"]).attach(backbones.conv())


def test_lora_auto_passes_by_layers_of_wavlm_that_are_never_called(backbones: SimpleNamespace) -> None:
    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    convolutions = {"conv_dim": (8,), "conv_kernel": (4,), "conv_stride": (4,)}
    backbone = backbones.module(WavLMModel(WavLMConfig(**size, **convolutions, num_conv_pos_embedding_groups=2)))
    make(Lora).attach(backbone)
    adapted = {name.split(".lora_A")[0] for name, _ in backbone.body.named_parameters() if "lora_A" in name}
    assert {name.removeprefix("base_model.model.encoder.layers.0.") for name in adapted} == {
        "attention.gru_rel_pos_linear",
        "feed_forward.intermediate_dense",
        "feed_forward.output_dense",
        "base_model.model.feature_projection.projection",
    }


def test_lora_without_a_fitting_layer(backbones: SimpleNamespace) -> None:
    with pytest.raises(HeadstockError, match=r"no linear layer and no ungrouped convolution in the backbone's Recurr"):
        make(Lora).attach(backbones.recurrent())


def test_lora_reports_peft_errors_in_one_line(backbones: SimpleNamespace) -> None:
    with pytest.raises(HeadstockError, match=r"does not fit this backbone") as caught:
        make(Lora, target_modules=["depthwise"], r=3).attach(backbones.conv())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("adapter", "keeps"), [(Full, False), (LinearProbe, True), (BitFit, False), (Lora, True)], ids=str
)
def test_who_keeps_the_base(adapter: type[Adapter], keeps: bool) -> None:
    assert adapter.keeps_base is keeps
