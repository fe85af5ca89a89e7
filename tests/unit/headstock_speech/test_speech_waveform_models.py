from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoConfig,
    AutoModel,
    BertConfig,
    BertModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
)

from headstock import HeadstockError
from headstock.interfaces import BadExampleError
from headstock_speech.backbones.transformers_speech import TransformersSpeech

TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": [8, 8, 8],
    "conv_kernel": [10, 3, 3],
    "conv_stride": [5, 4, 4],
    "num_feat_extract_layers": 3,
    "num_conv_pos_embedding_groups": 2,
    "conv_pos_kernel_size": 5,
    "num_conv_pos_embeddings": 6,
    "vocab_size": 12,
    "layerdrop": 0.0,
}
KINDS = {
    "wav2vec2-group": {"model_type": "wav2vec2", "feat_extract_norm": "group"},
    "wav2vec2-layer": {"model_type": "wav2vec2", "feat_extract_norm": "layer", "do_stable_layer_norm": True},
    "wav2vec2-adapter": {
        "model_type": "wav2vec2",
        "add_adapter": True,
        "num_adapter_layers": 1,
        "output_hidden_size": 12,
    },
    "hubert": {"model_type": "hubert", "feat_extract_norm": "group"},
    "hubert-batch-norm": {"model_type": "hubert", "conv_pos_batch_norm": True},
    "wavlm": {"model_type": "wavlm", "feat_extract_norm": "group"},
    "unispeech": {"model_type": "unispeech"},
    "unispeech-sat": {"model_type": "unispeech-sat"},
    "data2vec-audio": {"model_type": "data2vec-audio"},
}


def store(directory: Path, kind: str, normalise: bool = True, **options: object) -> None:
    torch.manual_seed(0)
    settings = {**TINY, **KINDS[kind], **options}
    AutoModel.from_config(AutoConfig.for_model(settings.pop("model_type"), **settings)).save_pretrained(directory)
    Wav2Vec2FeatureExtractor(do_normalize=normalise).save_pretrained(directory)


def load(directory: Path, **options: object) -> TransformersSpeech:
    return TransformersSpeech.create(TransformersSpeech.Config(model=str(directory), **options), [])


@pytest.fixture(params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    store(tmp_path, request.param)
    return tmp_path


def test_an_example_does_not_depend_on_its_neighbours(folder: Path, sounds: SimpleNamespace) -> None:
    sounds.assert_independent(load(folder), 0.2, 0.4517, 0.05, 0.33, 0.2)


@pytest.mark.parametrize("normalise", [True, False])
def test_a_clip_alone_gives_what_transformers_gives(folder: Path, normalise: bool, sounds: SimpleNamespace) -> None:
    Wav2Vec2FeatureExtractor(do_normalize=normalise).save_pretrained(folder)
    backbone = load(folder).eval()
    example = backbone.preprocess(sounds.clip(0.4))
    samples = example["waveform"].numpy() / np.float32(32768)
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(folder)
    with torch.no_grad():
        given = backbone(backbone.collate([example])).sequence
        values = extractor(samples, sampling_rate=16000, return_tensors="pt").input_values
        expected = AutoModel.from_pretrained(folder).eval()(values).last_hidden_state
    torch.testing.assert_close(given, expected, atol=1e-4, rtol=1e-4)
    assert given.shape[2] == backbone.feature_dim


def test_saved_it_loads_here_and_with_plain_transformers(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, sounds: SimpleNamespace
) -> None:
    backbone = load(folder).eval()
    with torch.no_grad():
        backbone.body.feature_projection.projection.weight.add_(0.1)
    target = tmp_path_factory.mktemp("saved")
    backbone.save(target)
    given = sounds.features(TransformersSpeech.load(backbone.config, target).eval(), sounds.clip(0.2))
    assert torch.equal(given.sequence, sounds.features(backbone, sounds.clip(0.2)).sequence)
    plain = AutoModel.from_pretrained(target).state_dict()
    own = backbone.body.state_dict()
    assert plain.keys() == own.keys()
    assert all(torch.equal(value, plain[name]) for name, value in own.items())


def test_training_draws_from_torch_alone(folder: Path, sounds: SimpleNamespace) -> None:
    backbone = load(folder)
    backbone.train()
    clips = [sounds.clip(duration) for duration in (0.3, 0.4, 0.3)]
    outputs = []
    for seed in (1, 2, 2):
        np.random.seed(seed + len(outputs))
        torch.manual_seed(seed)
        outputs.append(sounds.features(backbone, *clips).sequence)
    assert torch.equal(outputs[1], outputs[2])
    assert not torch.equal(outputs[0], outputs[1])


def step(backbone: TransformersSpeech, sounds: SimpleNamespace) -> dict[str, torch.Tensor | None]:
    backbone.train()
    batch = backbone.collate([backbone.preprocess(sounds.clip(duration)) for duration in (0.3, 0.4)])
    torch.manual_seed(0)
    backbone(batch).sequence.square().sum().backward()
    return {name: parameter.grad for name, parameter in backbone.body.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("kind", ["wav2vec2-group", "wav2vec2-layer", "data2vec-audio"])
def test_gradient_checkpointing_gives_the_same_gradients(kind: str, tmp_path: Path, sounds: SimpleNamespace) -> None:
    store(tmp_path, kind)
    checkpointed = load(tmp_path)
    checkpointed.enable_gradient_checkpointing()
    expected, given = step(load(tmp_path), sounds), step(checkpointed, sounds)
    assert expected["feature_extractor.conv_layers.0.conv.weight"].abs().sum() > 0
    for name, gradient in expected.items():
        torch.testing.assert_close(given[name], gradient)


@pytest.mark.parametrize("kind", ["wav2vec2-group", "data2vec-audio"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_lora_trains_it(kind: str, checkpointing: bool, tmp_path: Path, sounds: SimpleNamespace) -> None:
    store(tmp_path, kind)
    backbone = load(tmp_path)
    backbone.requires_grad_(False)
    if checkpointing:
        backbone.enable_gradient_checkpointing()
    backbone.body = get_peft_model(backbone.body, LoraConfig(target_modules="all-linear"))
    gradients = step(backbone, sounds)
    assert all("lora_" in name for name in gradients)
    assert all(gradient.abs().sum() > 0 for name, gradient in gradients.items() if "lora_B" in name)
    sounds.assert_independent(backbone, 0.3, 0.2)


def test_weights_of_a_recognizer_will_do(tmp_path: Path, sounds: SimpleNamespace) -> None:
    torch.manual_seed(0)
    model = Wav2Vec2ForCTC(Wav2Vec2Config(**TINY))
    model.save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    own = load(tmp_path).body.state_dict()
    assert all(torch.equal(value, own[name]) for name, value in model.wav2vec2.state_dict().items())


def test_limits(tmp_path: Path, sounds: SimpleNamespace) -> None:
    store(tmp_path, "wav2vec2-group")
    backbone = load(tmp_path, max_seconds=1)
    with pytest.raises(BadExampleError, match=r"lasts 1\.1 s; this backbone takes up to 1 s"):
        backbone.preprocess(sounds.clip(1.1))
    with pytest.raises(BadExampleError, match="too short"):
        backbone.preprocess({"audio": {"array": np.zeros(50), "sampling_rate": 16000}})
    assert int(backbone.preprocess({"audio": {"array": np.zeros(60), "sampling_rate": 16000}})["frames"]) == 1


def test_fingerprint_does_not_follow_the_weights(tmp_path: Path) -> None:
    for name, kind in (("one", "wav2vec2-group"), ("two", "hubert"), ("three", "wav2vec2-adapter")):
        (tmp_path / name).mkdir()
        store(tmp_path / name, kind)
    one, two, three = (load(tmp_path / name).fingerprint() for name in ("one", "two", "three"))
    assert one == two
    assert one != three


def test_models_that_are_not_for_speech(tmp_path: Path) -> None:
    BertModel(BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=9)).save_pretrained(
        tmp_path
    )
    with pytest.raises(HeadstockError, match="is a model of type bert; transformers-speech runs data2vec-audio, "):
        load(tmp_path)


def test_no_such_folder_and_an_incomplete_one(tmp_path: Path) -> None:
    with pytest.raises(HeadstockError, match="there is no such folder"):
        load(tmp_path / "gone")
    with pytest.raises(HeadstockError, match="cannot load") as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)
    store(tmp_path, "hubert")
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(HeadstockError, match="cannot load"):
        load(tmp_path)
    store(tmp_path, "hubert")
    with pytest.raises(HeadstockError, match="is for models on the Hub"):
        load(tmp_path, revision="main")
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(HeadstockError, match="cannot load"):
        load(tmp_path)
