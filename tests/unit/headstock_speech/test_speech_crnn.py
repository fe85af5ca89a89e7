from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from headstock import HeadstockError
from headstock.interfaces import BadExampleError
from headstock_speech.backbones.crnn import Crnn

SMALL = {"channels": 4, "hidden_size": 8}


def make(**options: object) -> Crnn:
    torch.manual_seed(0)
    return Crnn.create(Crnn.Config(**{**SMALL, **options}), [])


@pytest.mark.parametrize("options", [{}, {"time_reduction": 4}, {"sampling_rate": 8000, "mel_bands": 23, "layers": 1}])
def test_an_example_does_not_depend_on_its_neighbours(sounds: SimpleNamespace, options: dict[str, int]) -> None:
    sounds.assert_independent(make(**options), 0.31, 1.2, 0.025, 0.755, 0.31)


@pytest.mark.parametrize(("reduction", "milliseconds"), [(2, 20), (4, 40)])
def test_one_frame_every_so_many_milliseconds(sounds: SimpleNamespace, reduction: int, milliseconds: int) -> None:
    backbone = make(time_reduction=reduction).eval()
    out = sounds.features(backbone, sounds.clip(2.0))
    assert out.sequence.shape == (1, 2000 // milliseconds + 1, backbone.feature_dim)
    assert out.pooled.shape == (1, backbone.feature_dim)
    torch.testing.assert_close(out.pooled, out.sequence.mean(dim=1))


def test_waveforms_are_kept_as_sixteen_bits_at_the_rate_of_the_backbone(sounds: SimpleNamespace) -> None:
    whole = (sounds.tone(0.5) * 32767).astype(np.int16)
    example = make().preprocess({"audio": sounds.encoded(whole, kind="FLAC")})
    assert torch.equal(example["waveform"], torch.from_numpy(whole))
    assert len(make(sampling_rate=8000).preprocess({"audio": sounds.encoded(whole)})["waveform"]) == 4000


def test_overshooting_samples_are_clipped() -> None:
    example = make().preprocess({"audio": {"array": np.full(1600, 1.2), "sampling_rate": 16000}})
    assert example["waveform"].unique().tolist() == [32767]


def test_cost_is_milliseconds_of_audio(sounds: SimpleNamespace) -> None:
    backbone = make()
    assert backbone.cost(backbone.preprocess(sounds.clip(1.25, 44100))) == 1250
    assert backbone.cost_unit == "milliseconds of audio"


def test_too_short_and_too_long(sounds: SimpleNamespace, tmp_path: Path) -> None:
    backbone = make(max_seconds=2)
    path = tmp_path / "long.wav"
    path.write_bytes(sounds.encoded(sounds.tone(2.5)))
    with pytest.raises(BadExampleError, match=r"long\.wav lasts 2\.5 s; this backbone takes up to 2 s"):
        backbone.preprocess({"audio": path})
    with pytest.raises(BadExampleError, match=r"lasts only 0\.0200 s; that is too short"):
        backbone.preprocess(sounds.clip(0.02))
    backbone.preprocess(sounds.clip(2.0))
    backbone.preprocess(sounds.clip(0.025))


def test_the_spectrogram_is_normalised_over_real_frames(sounds: SimpleNamespace) -> None:
    backbone = make()
    batch = backbone.collate([backbone.preprocess(sounds.clip(duration)) for duration in (0.5, 1.0)])
    spectrogram = backbone.embed(batch)
    assert spectrogram.shape == (2, 101, 40)
    assert not spectrogram[0, 51:].any()
    for own in (spectrogram[0, :51], spectrogram[1]):
        torch.testing.assert_close(own.mean(dim=0), torch.zeros(40), atol=1e-4, rtol=0)
        assert own.square().mean().item() == pytest.approx(1.0, abs=1e-3)


def test_silence_gives_finite_features(sounds: SimpleNamespace) -> None:
    out = sounds.features(make().eval(), {"audio": {"array": np.zeros(8000), "sampling_rate": 16000}})
    assert out.sequence.isfinite().all()


def test_augmentation_is_random_in_training_only(sounds: SimpleNamespace) -> None:
    backbone = make(dropout=0.0)
    backbone.train()
    torch.manual_seed(1)
    first, second = sounds.features(backbone, sounds.clip(1.0)), sounds.features(backbone, sounds.clip(1.0))
    torch.manual_seed(1)
    again = sounds.features(backbone, sounds.clip(1.0))
    assert torch.equal(first.sequence, again.sequence)
    assert not torch.equal(first.sequence, second.sequence)
    backbone.eval()
    assert torch.equal(
        sounds.features(backbone, sounds.clip(1.0)).sequence, sounds.features(backbone, sounds.clip(1.0)).sequence
    )


def test_saved_and_loaded_gives_equal_features(sounds: SimpleNamespace, tmp_path: Path) -> None:
    backbone = make().eval()
    backbone.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    loaded = Crnn.load(backbone.config, tmp_path).eval()
    assert torch.equal(
        sounds.features(loaded, sounds.clip(0.7)).sequence, sounds.features(backbone, sounds.clip(0.7)).sequence
    )


def test_loading_what_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(HeadstockError, match=r"there is no weights file .*model\.safetensors"):
        Crnn.load(Crnn.Config(), tmp_path)
    make().save(tmp_path)
    with pytest.raises(HeadstockError, match=r"model\.safetensors does not fit: .* has shape") as caught:
        Crnn.load(Crnn.Config(hidden_size=9), tmp_path)
    assert "\n" not in str(caught.value)


def test_gradient_checkpointing_gives_the_same_gradients(sounds: SimpleNamespace) -> None:
    gradients = []
    for checkpointing in (False, True):
        backbone = make()
        if checkpointing:
            backbone.enable_gradient_checkpointing()
        backbone.train()
        torch.manual_seed(3)
        batch = backbone.collate([backbone.preprocess(sounds.clip(duration)) for duration in (0.4, 0.9)])
        backbone(batch).pooled.square().sum().backward()
        gradients.append([parameter.grad for parameter in backbone.body.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


def test_autocast_leaves_the_spectrogram_exact(sounds: SimpleNamespace) -> None:
    backbone = make().eval()
    batch = backbone.collate([backbone.preprocess(sounds.clip(0.5))])
    plain = backbone.embed(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(backbone.embed(batch), plain)
        assert backbone(batch).sequence.isfinite().all()


def test_fingerprint_follows_what_examples_depend_on() -> None:
    assert make().fingerprint() == make(hidden_size=9, dropout=0.3).fingerprint()
    others = [{"sampling_rate": 8000}, {"max_seconds": 9}, {"time_reduction": 4}]
    assert all(make(**other).fingerprint() != make().fingerprint() for other in others)


def test_unknown_and_impossible_options() -> None:
    for options in ({"time_reduction": 3}, {"mel_bands": 500}, {"hidden": 4}):
        with pytest.raises(ValidationError):
            Crnn.Config(**options)
