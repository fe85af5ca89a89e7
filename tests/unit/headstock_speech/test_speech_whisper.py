from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForAudioClassification,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForAudioClassification,
    WhisperForConditionalGeneration,
)

from headstock import HeadstockError
from headstock.interfaces import BadExampleError
from headstock_speech.backbones.transformers_speech import TransformersSpeech

SECONDS = 4
REAL = Path(__file__).resolve().parents[4] / "shared" / "data"


def config(**options: object) -> WhisperConfig:
    settings: dict[str, object] = {
        "d_model": 16,
        "encoder_layers": 2,
        "encoder_attention_heads": 2,
        "encoder_ffn_dim": 24,
        "decoder_layers": 1,
        "decoder_attention_heads": 2,
        "decoder_ffn_dim": 24,
        "vocab_size": 30,
        "num_mel_bins": 20,
        "max_source_positions": SECONDS * 50,
        "pad_token_id": 0,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "decoder_start_token_id": 0,
    }
    return WhisperConfig(**settings | options)


def store(directory: Path, kind: type = WhisperForAudioClassification, **options: object) -> None:
    torch.manual_seed(0)
    kind(config(**options)).save_pretrained(directory)
    WhisperFeatureExtractor(feature_size=20, chunk_length=SECONDS).save_pretrained(directory)


def load(directory: Path, **options: object) -> TransformersSpeech:
    torch.manual_seed(0)
    return TransformersSpeech.create(TransformersSpeech.Config(model=str(directory), **options), [])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("whisper")
    store(directory)
    return directory


def test_padded_as_in_pretraining_it_equals_transformers(folder: Path, sounds: SimpleNamespace) -> None:
    backbone = load(folder, silence_seconds=SECONDS).eval()
    extractor = WhisperFeatureExtractor.from_pretrained(folder)
    encoder = AutoModelForAudioClassification.from_pretrained(folder).encoder.eval()
    for duration in (0.4137, 1.0, 3.9):
        example = backbone.preprocess(sounds.clip(duration))
        samples = example["waveform"].numpy() / np.float32(32768)
        spectrogram = extractor(samples, sampling_rate=16000, return_tensors="pt").input_features
        batch = backbone.collate([example])
        torch.testing.assert_close(backbone.embed(batch), spectrogram, atol=1e-5, rtol=0)
        with torch.no_grad():
            expected = encoder(spectrogram).last_hidden_state[:, : int(example["frames"])]
            torch.testing.assert_close(backbone(batch).sequence, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("silence", [0.0, 0.015, 0.5, 30.0])
def test_an_example_does_not_depend_on_its_neighbours(folder: Path, sounds: SimpleNamespace, silence: float) -> None:
    sounds.assert_independent(load(folder, silence_seconds=silence), 0.5, 1.733, 0.025, 3.9, 0.5)


def test_clips_cost_what_they_last(folder: Path, sounds: SimpleNamespace) -> None:
    backbone = load(folder, silence_seconds=0.1)
    batch = backbone.collate([backbone.preprocess(sounds.clip(1.0))])
    assert backbone.embed(batch).shape == (1, 20, 110)
    out = backbone(batch)
    assert out.sequence.shape == (1, 50, 16)
    assert out.mask.all()


@pytest.mark.parametrize("kind", [WhisperForAudioClassification, WhisperForConditionalGeneration])
def test_any_checkpoint_with_the_encoder_will_do(kind: type, folder: Path, tmp_path: Path) -> None:
    store(tmp_path, kind)
    own = load(tmp_path).body.state_dict()
    stored = load_file(tmp_path / "model.safetensors")
    prefix = "encoder." if kind is WhisperForAudioClassification else "model.encoder."
    assert {f"{prefix}{name}" for name in own} == {name for name in stored if name.startswith(prefix)}
    assert all(torch.equal(value, stored[f"{prefix}{name}"]) for name, value in own.items())


def test_half_precision_weights_become_float32(tmp_path: Path, sounds: SimpleNamespace) -> None:
    torch.manual_seed(0)
    WhisperForAudioClassification(config()).half().save_pretrained(tmp_path)
    WhisperFeatureExtractor(feature_size=20, chunk_length=SECONDS).save_pretrained(tmp_path)
    backbone = load(tmp_path)
    assert {parameter.dtype for parameter in backbone.parameters()} == {torch.float32}
    assert sounds.features(backbone.eval(), sounds.clip(0.5)).sequence.dtype == torch.float32


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_saved_it_loads_here_and_with_plain_transformers(folder: Path, tmp_path: Path, sounds: SimpleNamespace) -> None:
    backbone = load(folder).eval()
    with torch.no_grad():
        backbone.body.layers[0].fc1.weight.add_(0.1)
    backbone.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
    }
    given = sounds.features(TransformersSpeech.load(backbone.config, tmp_path).eval(), sounds.clip(0.7))
    assert torch.equal(given.sequence, sounds.features(backbone, sounds.clip(0.7)).sequence)
    for loader in (AutoModelForAudioClassification, AutoModel):
        plain = loader.from_pretrained(tmp_path).encoder.state_dict()
        assert all(torch.equal(value, plain[name]) for name, value in backbone.body.state_dict().items())


def test_it_trains_with_dropout_and_never_its_positions(folder: Path, tmp_path: Path, sounds: SimpleNamespace) -> None:
    store(tmp_path, dropout=0.1, attention_dropout=0.1, activation_dropout=0.1, encoder_layerdrop=0.2)
    backbone = load(tmp_path)
    backbone.requires_grad_(True)
    backbone.train()
    batch = backbone.collate([backbone.preprocess(sounds.clip(duration)) for duration in (0.5, 1.0)])
    torch.manual_seed(1)
    first = backbone(batch)
    torch.manual_seed(1)
    assert torch.equal(backbone(batch).sequence, first.sequence)
    assert not torch.equal(backbone(batch).sequence, first.sequence)
    first.pooled.square().sum().backward()
    assert backbone.body.conv1.weight.grad.abs().sum() > 0
    assert backbone.body.embed_positions.weight.grad is None


def step(backbone: TransformersSpeech, sounds: SimpleNamespace) -> dict[str, torch.Tensor | None]:
    backbone.train()
    batch = backbone.collate([backbone.preprocess(sounds.clip(duration)) for duration in (0.5, 1.0)])
    backbone(batch).pooled.square().sum().backward()
    return {name: parameter.grad for name, parameter in backbone.body.named_parameters() if parameter.requires_grad}


def test_gradient_checkpointing_gives_the_same_gradients(folder: Path, sounds: SimpleNamespace) -> None:
    checkpointed = load(folder)
    checkpointed.enable_gradient_checkpointing()
    expected, given = step(load(folder), sounds), step(checkpointed, sounds)
    for name, gradient in expected.items():
        torch.testing.assert_close(given[name], gradient)


def wrapped(backbone: TransformersSpeech) -> TransformersSpeech:
    backbone.requires_grad_(False)
    backbone.body = get_peft_model(backbone.body, LoraConfig(target_modules="all-linear"))
    return backbone


def checkpointed_then_wrapped(backbone: TransformersSpeech) -> TransformersSpeech:
    backbone.enable_gradient_checkpointing()
    return wrapped(backbone)


def wrapped_then_checkpointed(backbone: TransformersSpeech) -> TransformersSpeech:
    wrapped(backbone).enable_gradient_checkpointing()
    return backbone


@pytest.mark.parametrize("prepare", [wrapped, checkpointed_then_wrapped, wrapped_then_checkpointed])
def test_lora_trains_it(
    prepare: Callable[[TransformersSpeech], TransformersSpeech], folder: Path, sounds: SimpleNamespace
) -> None:
    backbone = prepare(load(folder))
    gradients = step(backbone, sounds)
    assert any("self_attn.q_proj" in name for name in gradients)
    assert all("lora_" in name for name in gradients)
    assert all(gradient.abs().sum() > 0 for name, gradient in gradients.items() if "lora_B" in name)


def test_a_lora_adapter_fits_the_plain_encoder(folder: Path, tmp_path: Path, sounds: SimpleNamespace) -> None:
    backbone = wrapped(load(folder, silence_seconds=SECONDS)).eval()
    with torch.no_grad():
        for name, parameter in backbone.body.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    backbone.body.save_pretrained(tmp_path, save_embedding_layers=False)
    encoder = AutoModelForAudioClassification.from_pretrained(folder).encoder
    plain = PeftModel.from_pretrained(encoder, tmp_path).eval()
    batch = backbone.collate([backbone.preprocess(sounds.clip(1.0))])
    with torch.no_grad():
        expected = plain(backbone.embed(batch)).last_hidden_state[:, :50]
        torch.testing.assert_close(backbone(batch).sequence, expected, atol=1e-5, rtol=0)


def test_limits(folder: Path, sounds: SimpleNamespace) -> None:
    backbone = load(folder)
    assert backbone.max_seconds == SECONDS
    assert load(folder, max_seconds=2.5).max_seconds == 2.5
    with pytest.raises(BadExampleError, match=r"lasts 4\.1 s; this backbone takes up to 4 s"):
        backbone.preprocess(sounds.clip(4.1))
    with pytest.raises(BadExampleError, match="too short"):
        backbone.preprocess(sounds.clip(0.02))
    assert sounds.features(backbone, sounds.clip(4.0)).sequence.shape == (1, 200, 16)


def test_missing_weights_are_an_error(folder: Path, tmp_path: Path) -> None:
    store(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    save_file({name: value for name, value in weights.items() if "fc1" not in name}, tmp_path / "model.safetensors")
    with pytest.raises(HeadstockError, match=r"lacks 4 weights of MaskedWhisperEncoder: layers\.0\.fc1\.bias, "):
        load(tmp_path)


@pytest.mark.skipif(not REAL.exists(), reason="the shared real data is not beside this checkout")
def test_the_real_encoder_on_a_real_recording() -> None:
    folder = REAL / "weights" / "whisper-base-encoder-fp16"
    path = REAL / "speech" / "librispeech_mini" / "audio" / "84" / "84-121123-0000.mp3"
    short, long = load(folder).eval(), load(folder, silence_seconds=30).eval()
    example = short.preprocess({"audio": str(path)})
    assert int(example["frames"]) == pytest.approx(2.09 * 50, abs=1)
    batch = short.collate([example])
    encoder = AutoModelForAudioClassification.from_pretrained(folder, dtype=torch.float32).encoder.eval()
    with torch.no_grad():
        near, exact = short(batch).sequence, long(batch).sequence
        expected = encoder(long.embed(batch)).last_hidden_state[:, : near.shape[1]]
    torch.testing.assert_close(exact, expected, atol=1e-3, rtol=0)
    assert torch.cosine_similarity(near, expected, dim=2).mean() > 0.9
