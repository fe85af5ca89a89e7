from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from transformers import (
    AutoImageProcessor,
    AutoModel,
    BeitConfig,
    BertConfig,
    BitImageProcessor,
    ChineseCLIPConfig,
    CLIPConfig,
    ConvNextConfig,
    ConvNextImageProcessor,
    DeiTConfig,
    Dinov2Config,
    EfficientNetImageProcessor,
    PreTrainedConfig,
    ResNetConfig,
    SiglipConfig,
    SwinConfig,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)
from transformers.utils import logging as transformers_logging

from headstock import HeadstockError
from headstock_vision.backbones.transformer import TransformersVision

Batcher = Callable[..., dict[str, Tensor]]

_ATTENTION = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
_PATCHES = {**_ATTENTION, "image_size": 32, "patch_size": 8}

# configuration, what pooling comes to, tokens of an image of 32 pixels
FAMILIES: dict[str, tuple[PreTrainedConfig, str, int]] = {
    "vit": (ViTConfig(**_PATCHES), "cls", 17),
    "deit": (DeiTConfig(**_PATCHES), "cls", 18),
    "beit": (BeitConfig(**_PATCHES), "pooler", 17),
    "dinov2": (Dinov2Config(**_PATCHES), "pooler", 17),
    "swin": (
        SwinConfig(image_size=32, patch_size=2, embed_dim=8, depths=[1, 1], num_heads=[2, 2], window_size=4),
        "pooler",
        64,
    ),
    "convnext": (ConvNextConfig(depths=[1, 1], hidden_sizes=[8, 16], num_stages=2, image_size=32), "pooler", 16),
    "resnet": (ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic"), "pooler", 16),
}
_SQUARE = {"height": 32, "width": 32}
families = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(autouse=True)
def _no_bars() -> None:
    transformers_logging.disable_progress_bar()


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Write a tiny random model, and how it wants its images, to a folder."""

    def make(config: PreTrainedConfig, processor: Any = None) -> Path:
        folder = tmp_path / config.model_type
        model = AutoModel.from_config(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        model.save_pretrained(folder)
        (processor or ViTImageProcessor(size=_SQUARE)).save_pretrained(folder)
        return folder

    return make


def _create(folder: Path, **options: object) -> TransformersVision:
    return TransformersVision.create(TransformersVision.Config(model=str(folder), **options), [])


@families
def test_every_family_gives_features(family: str, make_folder: Callable[..., Path], noise_batch: Batcher) -> None:
    config, pooling, length = FAMILIES[family]
    backbone = _create(make_folder(config)).eval()
    assert backbone.pooling == pooling
    inputs = noise_batch(backbone)
    together = backbone(inputs)
    assert together.pooled.shape == (3, 16)
    assert together.sequence.shape == (3, length, 16)
    assert together.mask.shape == (3, length)
    assert backbone.feature_dim == 16
    alone = backbone({name: value[2:] for name, value in inputs.items()})
    assert torch.allclose(together.pooled[2:], alone.pooled, atol=1e-5)


@families
def test_other_sizes_are_taken(family: str, make_folder: Callable[..., Path], noise_batch: Batcher) -> None:
    backbone = _create(make_folder(FAMILIES[family][0]), image_size=48).eval()
    features = backbone(noise_batch(backbone))
    assert features.sequence.shape[1] > FAMILIES[family][2]
    assert features.pooled.isfinite().all()


@families
@pytest.mark.parametrize("size", [None, 48])
def test_saved_backbone_comes_back_the_same(
    family: str, size: int | None, make_folder: Callable[..., Path], noise_batch: Batcher, tmp_path: Path
) -> None:
    backbone = _create(make_folder(FAMILIES[family][0]), image_size=size, mean=(0.1, 0.2, 0.3)).eval()
    saved = tmp_path / "saved"
    saved.mkdir()
    backbone.save(saved)
    loaded = TransformersVision.load(backbone.config, saved).eval()
    inputs = noise_batch(backbone)
    assert loaded.facts == backbone.facts
    assert loaded.fingerprint() == backbone.fingerprint()
    assert torch.equal(loaded(inputs).pooled, backbone(inputs).pooled)


@pytest.mark.parametrize("resize", ["crop", "squash"])
def test_transformers_alone_does_the_same_with_a_saved_backbone(
    resize: str, make_folder: Callable[..., Path], photo: Image.Image, tmp_path: Path
) -> None:
    folder = make_folder(FAMILIES["vit"][0], ViTImageProcessor(size=_SQUARE, resample=3))
    backbone = _create(folder, resize=resize, std=(0.2, 0.3, 0.4)).eval()
    saved = tmp_path / "saved"
    saved.mkdir()
    backbone.save(saved)
    taken = AutoImageProcessor.from_pretrained(saved)(photo, return_tensors="pt")
    embedded = backbone.embed(backbone.collate([backbone.preprocess({"image": photo})]))
    # cut before resizing here and after it there: the edges differ by what lies beyond them
    assert torch.allclose(embedded[..., 4:-4], taken["pixel_values"][..., 4:-4], atol=0.1)
    assert (embedded - taken["pixel_values"]).abs().mean() < 0.1
    expected = AutoModel.from_pretrained(saved).eval()(pixel_values=embedded).last_hidden_state
    assert torch.allclose(backbone.encode(embedded, {}).sequence, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [("cls", lambda out: out.last_hidden_state[:, 0]), ("mean", lambda out: out.last_hidden_state.mean(dim=1))],
)
def test_pooling_can_be_chosen(
    pooling: str, expected: Callable[[Any], Tensor], make_folder: Callable[..., Path], noise_batch: Batcher
) -> None:
    backbone = _create(make_folder(FAMILIES["vit"][0]), pooling=pooling).eval()
    inputs = noise_batch(backbone)
    assert torch.allclose(backbone(inputs).pooled, expected(backbone.body(backbone.embed(inputs))))
    assert backbone.body.pooler is None


def test_own_pooler_can_be_chosen(make_folder: Callable[..., Path], noise_batch: Batcher) -> None:
    backbone = _create(make_folder(FAMILIES["vit"][0]), pooling="pooler").eval()
    inputs = noise_batch(backbone)
    assert torch.allclose(backbone(inputs).pooled, backbone.body(backbone.embed(inputs)).pooler_output)


def test_pooling_that_is_not_there(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(HeadstockError, match="SwinModel has no class token"):
        _create(make_folder(FAMILIES["swin"][0]), pooling="cls")
    classifier = ViTForImageClassification(FAMILIES["vit"][0])
    classifier.save_pretrained(tmp_path / "tuned")
    ViTImageProcessor(size=_SQUARE).save_pretrained(tmp_path / "tuned")
    assert _create(tmp_path / "tuned").pooling == "cls"
    with pytest.raises(HeadstockError, match=r"no weights for its pooler; set backbone\.pooling"):
        _create(tmp_path / "tuned", pooling="pooler")


def test_every_weight_is_used(make_folder: Callable[..., Path], noise_batch: Batcher) -> None:
    backbone = _create(make_folder(FAMILIES["vit"][0])).train()
    backbone(noise_batch(backbone)).pooled.sum().backward()
    assert [name for name, parameter in backbone.named_parameters() if parameter.grad is None] == []


@families
def test_gradient_checkpointing(family: str, make_folder: Callable[..., Path], noise_batch: Batcher) -> None:
    backbone = _create(make_folder(FAMILIES[family][0]))
    try:
        backbone.enable_gradient_checkpointing()
    except NotImplementedError:
        assert not backbone.body.supports_gradient_checkpointing
        return
    backbone.train()
    backbone(noise_batch(backbone)).pooled.sum().backward()
    assert next(backbone.body.parameters()).grad is not None


def test_half_precision_files_are_loaded_in_full(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_folder(FAMILIES["vit"][0])
    AutoModel.from_pretrained(folder).half().save_pretrained(folder)
    assert {parameter.dtype for parameter in _create(folder).parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("processor", "size", "mean", "interpolation"),
    [
        (ViTImageProcessor(size={"height": 40, "width": 40}), 40, 0.5, "bilinear"),
        (BitImageProcessor(size={"shortest_edge": 64}, crop_size={"height": 48, "width": 48}), 48, 0.481455, "bicubic"),
        (ConvNextImageProcessor(size={"shortest_edge": 56}), 56, 0.5, "bicubic"),
        (ViTImageProcessor(size={"height": 40, "width": 40}, do_normalize=False), 40, 0.0, "bilinear"),
    ],
)
def test_facts_come_from_the_processor(
    processor: Any, size: int, mean: float, interpolation: str, make_folder: Callable[..., Path]
) -> None:
    facts = _create(make_folder(FAMILIES["convnext"][0], processor)).facts
    assert facts.image_size == size
    assert facts.mean[0] == pytest.approx(mean)
    assert facts.interpolation == interpolation


@pytest.mark.parametrize(
    "processor",
    [
        EfficientNetImageProcessor(size=_SQUARE, rescale_factor=1 / 127.5, rescale_offset=True),
        EfficientNetImageProcessor(size=_SQUARE, include_top=False),
        ViTImageProcessor(size=_SQUARE, do_rescale=False, image_mean=[120.0] * 3, image_std=[60.0] * 3),
    ],
)
def test_unusual_scales_come_to_the_same_numbers(processor: Any, make_folder: Callable[..., Path]) -> None:
    image = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    backbone = _create(make_folder(FAMILIES["convnext"][0], processor))
    embedded = backbone.embed(backbone.collate([backbone.preprocess({"image": image})]))
    expected = processor(Image.fromarray(image), return_tensors="pt")["pixel_values"]
    assert torch.allclose(embedded, expected, atol=1e-4)


def test_sizes_that_vary_must_be_set(make_folder: Callable[..., Path]) -> None:
    folder = make_folder(FAMILIES["resnet"][0], ViTImageProcessor(do_resize=False))
    with pytest.raises(HeadstockError, match=r"does not say one image size; set backbone\.image_size"):
        _create(folder)
    assert _create(folder, image_size=40).facts[:2] == (40, (0.5, 0.5, 0.5))


def test_missing_weights_are_an_error(make_folder: Callable[..., Path]) -> None:
    folder = make_folder(FAMILIES["vit"][0])
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**content, "num_hidden_layers": 3}))
    with pytest.raises(HeadstockError, match=r"lacks 16 weights of ViTModel: .*\.2\.") as caught:
        _create(folder)
    assert "\n" not in str(caught.value)


def test_no_facts_is_an_error_unless_options_say_all(make_folder: Callable[..., Path]) -> None:
    folder = make_folder(FAMILIES["vit"][0])
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(HeadstockError, match=r"cannot tell how .* wants its images.*set backbone\.image_size"):
        _create(folder)
    halves = (0.5, 0.5, 0.5)
    assert _create(folder, image_size=32, mean=halves, std=halves).facts.image_size == 32


_TEXT = {"vocab_size": 10, "eos_token_id": 1, **_ATTENTION}


def test_what_is_no_image_encoder_is_refused(make_folder: Callable[..., Path]) -> None:
    with pytest.raises(HeadstockError, match="not an encoder of images alone"):
        _create(make_folder(BertConfig(vocab_size=10, **_ATTENTION)))


@pytest.mark.parametrize("kind", [CLIPConfig, SiglipConfig, ChineseCLIPConfig])
def test_of_images_and_texts_the_side_for_images_is_taken(
    kind: Any, make_folder: Callable[..., Path], noise_batch: Batcher, tmp_path: Path
) -> None:
    folder = make_folder(kind(text_config=_TEXT, vision_config=_PATCHES))
    backbone = _create(folder).eval()
    assert not [name for name, _ in backbone.named_parameters() if "text" in name]

    inputs = noise_batch(backbone)
    whole = AutoModel.from_pretrained(folder).eval().vision_model(pixel_values=backbone.embed(inputs))
    assert torch.allclose(backbone(inputs).pooled, whole.pooler_output, atol=1e-5)

    (tmp_path / "saved").mkdir()
    backbone.save(tmp_path / "saved")
    again = TransformersVision.load(backbone.config, tmp_path / "saved").eval()
    assert torch.equal(again(inputs).pooled, backbone(inputs).pooled)
    code = backbone.loading_expression(str(tmp_path / "saved"))
    assert code is not None
    assert code.startswith(f"{type(backbone.body).__name__}.from_pretrained")


def test_places_that_hold_nothing(tmp_path: Path) -> None:
    with pytest.raises(HeadstockError, match="there is no such folder"):
        _create(tmp_path / "gone")
    (tmp_path / "empty").mkdir()
    with pytest.raises(HeadstockError, match=r"cannot load '.*empty'") as caught:
        _create(tmp_path / "empty")
    assert "\n" not in str(caught.value)
    with pytest.raises(HeadstockError, match=r"backbone\.revision 'main' is for models on the Hub"):
        _create(tmp_path / "empty", revision="main")


def test_pickled_weights_are_refused(make_folder: Callable[..., Path]) -> None:
    folder = make_folder(FAMILIES["resnet"][0])
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(HeadstockError, match="no weights in safetensors format"):
        _create(folder)


def test_verbosity_is_put_back(make_folder: Callable[..., Path]) -> None:
    transformers_logging.set_verbosity_info()
    try:
        _create(make_folder(FAMILIES["resnet"][0]))
        assert transformers_logging.get_verbosity() == transformers_logging.INFO
    finally:
        transformers_logging.set_verbosity_warning()
