from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from headstock import HeadstockError
from headstock.interfaces import Batch
from headstock_registry import UnknownNameError
from headstock_vision.backbones.torchvision_detection import TorchvisionDetection
from headstock_vision.detection.heads import Detector, Limits
from headstock_vision.tasks.object_detection import ObjectDetection

SMALL = "fasterrcnn_mobilenet_v3_large_320_fpn"
LIMITS = Limits(score=0.05, overlap=0.5, most=10)
TARGETS = {
    "labels": torch.tensor([[0, 2], [1, -100]]),
    "boxes": torch.tensor([[[0.1, 0.1, 0.5, 0.5], [0.5, 0.5, 0.9, 0.9]], [[0.2, 0.2, 0.8, 0.8], [-100.0] * 4]]),
}


def make(model: str = SMALL, **options: Any) -> TorchvisionDetection:
    torch.manual_seed(0)
    config = TorchvisionDetection.Config(model=model, **{"weights": "none", "image_size": 64, **options})
    return TorchvisionDetection.create(config, ())


def features(backbone: TorchvisionDetection) -> torch.Tensor:
    images = np.random.default_rng(0).integers(0, 255, (2, 50, 70, 3), dtype=np.uint8)
    return backbone(
        backbone.collate([backbone.preprocess({"image": image, "whole": True}) for image in images])
    ).sequence


@pytest.mark.parametrize("model", [SMALL, "fcos_resnet50_fpn", "retinanet_resnet50_fpn"])
def test_losses_add_up_over_images(model: str) -> None:
    backbone = make(model).eval()
    head = backbone.detection_head(3, LIMITS).eval()
    with torch.no_grad():
        sequence = features(backbone)
        whole = head(sequence, TARGETS)
        alone = [
            head(sequence[row : row + 1], {name: value[row : row + 1] for name, value in TARGETS.items()})
            for row in (0, 1)
        ]
    assert whole["counts"].tolist() == [1, 1]
    assert whole["losses"].tolist() == pytest.approx([float(each["losses"]) for each in alone], rel=1e-3)
    assert whole["scores"].shape == (2, 10)
    assert whole["boxes"].shape == (2, 10, 4)
    assert set(whole["labels"].flatten().tolist()) <= {-1, 0, 1, 2}


def test_the_loss_of_an_image_without_objects_is_finite() -> None:
    backbone = make()
    head = backbone.detection_head(3, LIMITS)
    none = {"labels": torch.full((2, 1), -100), "boxes": torch.full((2, 1, 4), -100.0)}
    losses = head(features(backbone), none)["losses"]
    losses.sum().backward()
    assert losses.isfinite().all()


def test_validation_leaves_head_and_chance_as_they_were() -> None:
    backbone = make().eval()
    head = backbone.detection_head(3, LIMITS).eval()
    before = torch.random.get_rng_state()
    with torch.no_grad():
        sequence = features(backbone)
        assert head(sequence, TARGETS)["losses"].equal(head(sequence, TARGETS)["losses"])
    assert torch.random.get_rng_state().equal(before)
    assert not any(module.training for module in head.modules())


def test_a_network_learns_one_picture() -> None:
    task = ObjectDetection(ObjectDetection.Config())
    task.restore({"labels": ["a", "b", "c"]})
    backbone = make()
    head = task.build_head(backbone)
    assert isinstance(backbone, Detector)
    optimizer = torch.optim.AdamW([*backbone.parameters(), *head.parameters()], lr=1e-4)
    inputs = {"size": torch.tensor([[100, 100]] * 2)}
    pixels = torch.full((2, 3, 64, 64), 20, dtype=torch.uint8)
    pixels[0, :, 6:32, 6:32], pixels[0, 0, 32:57, 32:57], pixels[1, 2, 13:51, 13:51] = 250, 200, 230
    batch = Batch({**inputs, "pixels": pixels}, TARGETS, 2)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        loss = task.loss(task.forward(head, backbone(batch.inputs), batch), batch)
        loss.total.backward()
        optimizer.step()
        losses.append(float(loss.total.detach()))
    assert losses[-1] < 0.6 * losses[0]


def test_weights_from_a_file_reach_backbone_and_head(tmp_path: Path) -> None:
    torch.manual_seed(1)
    other = torchvision.models.get_model(SMALL, weights=None, weights_backbone=None, num_classes=7)
    file = tmp_path / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in other.state_dict().items()}, file)
    backbone = make(weights=str(file))
    assert backbone.source == str(file)
    weights = other.state_dict()
    assert backbone.body.state_dict()["fpn.inner_blocks.0.0.weight"].equal(
        weights["backbone.fpn.inner_blocks.0.0.weight"]
    )
    head = backbone.detection_head(3, LIMITS).state_dict()
    assert head["network.rpn.head.cls_logits.weight"].equal(weights["rpn.head.cls_logits.weight"])
    assert head["network.roi_heads.box_predictor.cls_score.weight"].shape[0] == 4
    assert not any("backbone" in name for name in head)


def test_saved_and_loaded(tmp_path: Path) -> None:
    backbone = make().eval()
    backbone.save(tmp_path)
    loaded = TorchvisionDetection.load(backbone.config, tmp_path).eval()
    with torch.no_grad():
        assert features(loaded).equal(features(backbone))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "fasterrcnn"}, "no network 'fasterrcnn'.*it has fasterrcnn_mobilenet"),
        ({"model": "ssd300_vgg16"}, "no network 'ssd300_vgg16'"),
        ({"weights": "best"}, "has no weights 'best'; choose none, default, COCO_V1"),
    ],
)
def test_networks_and_weights_that_are_not_there(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        make(**options)


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    save_file({"backbone.conv.weight": torch.zeros(1)}, file)
    with pytest.raises(HeadstockError, match="does not fit"):
        make(weights=str(file))
