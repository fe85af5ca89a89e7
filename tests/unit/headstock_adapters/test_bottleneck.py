from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    AlbertConfig,
    AlbertModel,
    DistilBertConfig,
    DistilBertModel,
    PreTrainedModel,
    SwinConfig,
    SwinModel,
    T5Config,
    T5EncoderModel,
    ViTConfig,
    ViTModel,
    Wav2Vec2Config,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
    WhisperConfig,
)
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from headstock import HeadstockError
from headstock.interfaces import Backbone
from headstock.recipe.errors import RecipeError, validated
from headstock_adapters.bottleneck.adapter import BottleneckAdapter, BottleneckOptions
from headstock_adapters.bottleneck.places import find_blocks

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
SPEECH = {
    **SIZES,
    "conv_dim": (8,),
    "conv_kernel": (4,),
    "conv_stride": (4,),
    "num_feat_extract_layers": 1,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
}
MODELS: dict[str, tuple[Callable[[], PreTrainedModel], list[str]]] = {
    "vit": (lambda: ViTModel(ViTConfig(image_size=8, patch_size=4, **SIZES)), ["attention.o_proj", "mlp.fc2"]),
    "whisper": (
        lambda: WhisperEncoder(
            WhisperConfig(
                num_mel_bins=8,
                max_source_positions=10,
                d_model=16,
                encoder_layers=2,
                encoder_attention_heads=2,
                encoder_ffn_dim=24,
            )
        ),
        ["self_attn.out_proj", "fc2"],
    ),
    "distilbert": (
        lambda: DistilBertModel(DistilBertConfig(vocab_size=20, dim=16, n_layers=2, n_heads=2, hidden_dim=24)),
        ["attention.out_lin", "ffn.lin2"],
    ),
    "t5": (
        lambda: T5EncoderModel(T5Config(vocab_size=20, d_model=16, d_kv=8, num_layers=2, num_heads=2, d_ff=24)),
        ["layer.0.SelfAttention.o", "layer.1.DenseReluDense.wo"],
    ),
    "wav2vec2": (
        lambda: Wav2Vec2Model(Wav2Vec2Config(**SPEECH)),
        ["attention.out_proj", "feed_forward.output_dense"],
    ),
    "wavlm": (lambda: WavLMModel(WavLMConfig(**SPEECH)), ["attention", "feed_forward.output_dense"]),
}
IDS = {"ids": torch.arange(12).reshape(2, 6)}
STATES = {"pixels": torch.linspace(0, 1, 80).reshape(2, 5, 8)}


@pytest.mark.parametrize("name", MODELS)
def test_places_of_blocks(name: str) -> None:
    make, ends = MODELS[name]
    blocks = find_blocks(make())
    assert len(blocks) == 2
    for block in blocks:
        found = [*block.attentions, block.feed_forward]
        assert [place.size for place in found] == [16, 16]
        assert all(place.name.endswith(f".{end}") for place, end in zip(found, ends, strict=True))


def test_blocks_of_several_sizes_and_shared_ones() -> None:
    swin = find_blocks(SwinModel(SwinConfig(image_size=16, patch_size=2, embed_dim=8, depths=[1, 1], num_heads=[2, 2])))
    assert [block.feed_forward.size for block in swin] == [8, 16]
    sizes = {"embedding_size": 8, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24}
    albert = find_blocks(AlbertModel(AlbertConfig(vocab_size=20, num_hidden_layers=3, **sizes)))
    assert len(albert) == 1


def tuned(backbone: Backbone, **options: Any) -> BottleneckAdapter:
    adapter = BottleneckAdapter(BottleneckOptions(**options))
    adapter.attach(backbone)
    with torch.no_grad():
        for parameter in backbone.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter))
    adapter.set_mode(backbone, False)
    return adapter


CASES = pytest.mark.parametrize(("kind", "inputs"), [("bert", IDS), ("torch_transformer", STATES)])


@CASES
@pytest.mark.parametrize("options", [{"kind": "houlsby"}, {"kind": "pfeiffer", "size": 3, "activation": "tanh"}])
def test_it_starts_at_the_backbone_and_changes_only_what_it_added(
    backbones: SimpleNamespace, kind: str, inputs: dict[str, Tensor], options: dict[str, Any]
) -> None:
    backbone = getattr(backbones, kind)().eval()
    with torch.no_grad():
        untouched = backbone(inputs).sequence
    adapter = BottleneckAdapter(BottleneckOptions(**options))
    adapter.attach(backbone)
    adapter.set_mode(backbone, False)
    with torch.no_grad():
        torch.testing.assert_close(backbone(inputs).sequence, untouched)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    optimizer = torch.optim.AdamW([each for each in backbone.parameters() if each.requires_grad], lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        backbone(inputs).sequence.pow(3).sum().backward()
        optimizer.step()
    changed = {name for name, value in backbone.state_dict().items() if not value.equal(before[name])}
    marked = {name for name, parameter in backbone.named_parameters() if parameter.requires_grad}
    assert changed == marked
    assert len(changed) == (16 if options["kind"] == "houlsby" else 8)
    assert all(".bottleneck." in name for name in changed)


@CASES
def test_saved_and_loaded_gives_equal_outputs(
    backbones: SimpleNamespace, kind: str, inputs: dict[str, Tensor], tmp_path: Path
) -> None:
    backbone, fresh = getattr(backbones, kind)().eval(), getattr(backbones, kind)().eval()
    with torch.no_grad():
        untouched = fresh(inputs).sequence
    adapter = tuned(backbone, kind="houlsby")
    adapter.save(backbone, tmp_path)
    BottleneckAdapter(adapter.config).load(fresh, tmp_path)
    with torch.no_grad():
        expected = backbone(inputs).sequence
        assert torch.equal(fresh.eval()(inputs).sequence, expected)
    assert not torch.allclose(untouched, expected)
    assert not any(parameter.requires_grad for parameter in fresh.parameters())


def test_the_size_of_the_bottleneck(backbones: SimpleNamespace) -> None:
    for options, inner in (({}, 1), ({"reduction": 2}, 8), ({"size": 5}, 5)):
        backbone = backbones.bert()
        tuned(backbone, **options)
        assert backbone.body.get_submodule("encoder.layer.0.output.dense.bottleneck.down").out_features == inner
    with pytest.raises(RecipeError, match=r"adapter\.size and adapter\.reduction both say"):
        validated(BottleneckOptions, {"size": 5, "reduction": 4}, "adapter")


def test_parts_that_stay_as_they_are(backbones: SimpleNamespace) -> None:
    backbone = backbones.bert()
    backbone.fixed_parts = lambda: (backbone.body.get_submodule("encoder.layer.0"),)
    tuned(backbone)
    assert not any("layer.0" in name for name, each in backbone.named_parameters() if each.requires_grad)


@pytest.mark.parametrize("kind", ["conv", "recurrent"])
def test_a_body_without_blocks(backbones: SimpleNamespace, kind: str) -> None:
    with pytest.raises(HeadstockError, match="has none; take adapter 'lora' or 'bitfit'"):
        tuned(getattr(backbones, kind)())


def test_files_of_other_options_or_none(backbones: SimpleNamespace, tmp_path: Path) -> None:
    backbone = backbones.bert()
    tuned(backbone, size=3).save(backbone, tmp_path)
    with pytest.raises(HeadstockError, match="has shape"):
        BottleneckAdapter(BottleneckOptions(size=4)).load(backbones.bert(), tmp_path)
    with pytest.raises(HeadstockError, match="does not fit: it lacks"):
        BottleneckAdapter(BottleneckOptions(size=3, kind="houlsby")).load(backbones.bert(), tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    save_file({**weights, "more": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(HeadstockError, match="has unknown more"):
        BottleneckAdapter(BottleneckOptions(size=3)).load(backbones.bert(), tmp_path)
    with pytest.raises(HeadstockError, match=r"has no model\.safetensors"):
        BottleneckAdapter(BottleneckOptions(size=3)).load(backbones.bert(), tmp_path / "nowhere")
