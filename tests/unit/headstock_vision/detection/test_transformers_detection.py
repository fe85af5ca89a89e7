from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoModel,
    DetrConfig,
    DetrForObjectDetection,
    DetrImageProcessor,
    ResNetConfig,
    ViTConfig,
    ViTImageProcessor,
    ViTModel,
    YolosConfig,
    YolosForObjectDetection,
)

from headstock import HeadstockError
from headstock_vision.backbones.transformers_detection import TransformersDetection
from headstock_vision.detection.heads import Detector, Limits

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
LIMITS = Limits(score=0.05, overlap=0.5, most=10)
TARGETS = {
    "labels": torch.tensor([[0, 2], [1, -100]]),
    "boxes": torch.tensor([[[0.1, 0.1, 0.5, 0.5], [0.5, 0.5, 0.9, 0.9]], [[0.2, 0.2, 0.8, 0.8], [-100.0] * 4]]),
}


def yolos(folder: Path) -> Path:
    torch.manual_seed(0)
    config = YolosConfig(image_size=[32, 32], patch_size=8, num_detection_tokens=6, num_labels=2, **SIZES)
    YolosForObjectDetection(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def detr(folder: Path) -> Path:
    torch.manual_seed(0)
    trunk = ResNetConfig(embedding_size=8, hidden_sizes=[8, 8, 8, 16], depths=[1] * 4, out_features=["stage4"])
    sides = {f"{side}_{what}": 2 for side in ("encoder", "decoder") for what in ("attention_heads", "ffn_dim")}
    config = DetrConfig(
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone_config=trunk,
        num_labels=2,
        num_queries=6,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        **sides,
    )
    DetrForObjectDetection(config).save_pretrained(folder)
    DetrImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    return folder


def make(folder: Path, **options: Any) -> TransformersDetection:
    return TransformersDetection.create(TransformersDetection.Config(model=str(folder), **options), ())


def features(backbone: TransformersDetection) -> torch.Tensor:
    images = np.random.default_rng(0).integers(0, 255, (2, 50, 70, 3), dtype=np.uint8)
    examples = [backbone.preprocess({"image": image, "whole": True}) for image in images]
    return backbone(backbone.collate(examples)).sequence


@pytest.mark.parametrize("model", [yolos, detr])
def test_losses_add_up_over_images(model: Any, tmp_path: Path) -> None:
    backbone = make(model(tmp_path)).eval()
    assert isinstance(backbone, Detector)
    head = backbone.detection_head(3, LIMITS).eval()
    with torch.no_grad():
        sequence = features(backbone)
        whole = head(sequence, TARGETS)
        rows = [slice(row, row + 1) for row in (0, 1)]
        alone = [head(sequence[row], {name: value[row] for name, value in TARGETS.items()}) for row in rows]
    assert sequence.shape == (2, 6, 16)
    assert whole["losses"].tolist() == pytest.approx([float(each["losses"]) for each in alone], rel=1e-3)
    assert whole["counts"].tolist() == [1, 1]
    assert whole["boxes"].shape == (2, 10, 4)
    assert set(whole["labels"].flatten().tolist()) <= {-1, 0, 1, 2}


def test_the_loss_is_that_of_the_model_itself(tmp_path: Path) -> None:
    folder = yolos(tmp_path)
    backbone = make(folder).eval()
    head = backbone.detection_head(2, LIMITS).eval()
    whole = YolosForObjectDetection.from_pretrained(folder).eval()
    pixels = torch.randn(1, 3, 32, 32)
    box = torch.tensor([[0.1, 0.2, 0.5, 0.8]])
    with torch.no_grad():
        labels = [{"class_labels": torch.tensor([1]), "boxes": torch.tensor([[0.3, 0.5, 0.4, 0.6]])}]
        expected = whole(pixels, labels=labels)
        found = head(backbone.encode(pixels, {}).sequence, {"labels": torch.tensor([[1]]), "boxes": box[None]})
    assert float(found["losses"]) == pytest.approx(float(expected.loss), rel=1e-4)


def test_an_image_without_objects(tmp_path: Path) -> None:
    backbone = make(yolos(tmp_path))
    none = {"labels": torch.full((2, 1), -100), "boxes": torch.full((2, 1, 4), -100.0)}
    losses = backbone.detection_head(3, LIMITS)(features(backbone), none)["losses"]
    losses.sum().backward()
    assert losses.isfinite().all()


def test_the_head_is_pretrained_but_for_its_labels(tmp_path: Path) -> None:
    weights = load_file(yolos(tmp_path) / "model.safetensors")
    head = make(tmp_path).detection_head(3, LIMITS).state_dict()
    assert head["boxes.layers.2.weight"].equal(weights["bbox_predictor.layers.2.weight"])
    assert head["labels.layers.0.weight"].equal(weights["class_labels_classifier.layers.0.weight"])
    assert len(head["labels.layers.2.weight"]) == 4


@pytest.mark.parametrize("model", [yolos, detr])
def test_saved_and_loaded(model: Any, tmp_path: Path) -> None:
    backbone = make(model(tmp_path / "first")).eval()
    (tmp_path / "second").mkdir()
    backbone.save(tmp_path / "second")
    loaded = TransformersDetection.load(backbone.config, tmp_path / "second").eval()
    with torch.no_grad():
        assert features(loaded).equal(features(backbone))
    assert backbone.loading_expression("x") == 'AutoModel.from_pretrained("x")'
    AutoModel.from_pretrained(tmp_path / "second")


def test_models_of_another_kind(tmp_path: Path) -> None:
    ViTModel(ViTConfig(image_size=32, patch_size=8, **SIZES)).save_pretrained(tmp_path)
    with pytest.raises(HeadstockError, match="is a model of type vit; transformers-detection runs detr"):
        make(tmp_path)
    with pytest.raises(HeadstockError, match="there is no such folder"):
        make(tmp_path / "gone")
