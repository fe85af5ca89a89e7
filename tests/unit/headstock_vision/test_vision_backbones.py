from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from headstock import HeadstockError
from headstock.interfaces import Backbone
from headstock_vision.backbones.base import ImageBackbone
from headstock_vision.backbones.smallcnn import SmallCNN
from headstock_vision.backbones.torchvision_net import Torchvision

Batcher = Callable[..., dict[str, Tensor]]


def _resnet() -> Torchvision:
    return Torchvision.create(Torchvision.Config(model="resnet18", weights="none", image_size=64), [])


def _smallcnn() -> SmallCNN:
    return SmallCNN.create(SmallCNN.Config(width=8, depth=2, image_size=24), [])


MAKERS = [_smallcnn, _resnet]
makers = pytest.mark.parametrize("make", MAKERS)


def _move_statistics(backbone: nn.Module) -> None:
    for module in backbone.modules():
        if isinstance(module, _BatchNorm):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)


@makers
def test_features_have_the_agreed_form(make: Callable[[], ImageBackbone], noise_batch: Batcher) -> None:
    backbone = make().eval()
    sequence, mask, pooled = backbone(noise_batch(backbone))
    assert pooled.shape == (3, backbone.feature_dim)
    assert sequence.shape == (*mask.shape, backbone.feature_dim)
    assert mask.dtype == torch.bool
    assert mask.all()


def test_pooled_is_the_mean_of_the_sequence(noise_batch: Batcher) -> None:
    backbone = _resnet().eval()
    sequence, _, pooled = backbone(noise_batch(backbone))
    assert torch.allclose(sequence.mean(dim=1), pooled, atol=1e-5)


@makers
def test_neighbours_do_not_matter_in_evaluation(make: Callable[[], ImageBackbone], noise_batch: Batcher) -> None:
    backbone = make().eval()
    _move_statistics(backbone)
    inputs = noise_batch(backbone)
    together = backbone(inputs)
    alone = backbone({name: value[1:2] for name, value in inputs.items()})
    torch.testing.assert_close(together.pooled[1:2], alone.pooled, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together.sequence[1:2], alone.sequence, rtol=1e-4, atol=1e-5)


def test_neighbours_do_not_matter_to_the_small_network_in_training(noise_batch: Batcher) -> None:
    backbone = _smallcnn().train()
    inputs = noise_batch(backbone)
    alone = backbone({name: value[1:2] for name, value in inputs.items()})
    assert torch.allclose(backbone(inputs).pooled[1:2], alone.pooled, atol=1e-5)


@makers
def test_saved_backbone_comes_back_the_same(
    make: Callable[[], ImageBackbone], noise_batch: Batcher, tmp_path: Path
) -> None:
    backbone = make().eval()
    _move_statistics(backbone)
    backbone.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors", "config.json"}
    loaded = type(backbone).load(backbone.config, tmp_path).eval()
    assert loaded.facts == backbone.facts
    assert loaded.fingerprint() == backbone.fingerprint()
    inputs = noise_batch(backbone)
    assert torch.equal(loaded(inputs).pooled, backbone(inputs).pooled)


def test_damaged_folders_are_one_line(small: SmallCNN, tmp_path: Path) -> None:
    small.save(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"short")
    with pytest.raises(HeadstockError, match=r"model\.safetensors is not a readable safetensors file"):
        SmallCNN.load(small.config, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(HeadstockError, match=r"there is no weights file .*model\.safetensors"):
        SmallCNN.load(small.config, tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(HeadstockError, match=r"cannot read the backbone's facts from .*config\.json"):
        SmallCNN.load(small.config, tmp_path)


def test_weights_of_another_width_are_named(small: SmallCNN, tmp_path: Path) -> None:
    small.save(tmp_path)
    with pytest.raises(HeadstockError, match=r"stem\.0\.weight has shape \[8, 3, 3, 3\], the network has \[16, 3,"):
        SmallCNN.load(SmallCNN.Config(width=16, image_size=16), tmp_path)


def test_config_json_says_what_the_network_is(small: SmallCNN, tmp_path: Path) -> None:
    small.save(tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    assert (content["architecture"], content["width"], content["image_size"]) == ("smallcnn", 8, 16)


def test_embedding_is_normalised_pixels() -> None:
    config = SmallCNN.Config(width=8, image_size=8, mean=(0.0, 0.2, 1.0), std=(1.0, 0.5, 2.0))
    backbone = SmallCNN.create(config, [])
    pixels = torch.full((1, 3, 8, 8), 51, dtype=torch.uint8)
    embedded = backbone.embed({"pixels": pixels})
    assert embedded.dtype == torch.float32
    assert embedded[0, :, 0, 0].tolist() == pytest.approx([0.2, 0.0, -0.4])


@pytest.mark.parametrize(("resize", "seen"), [("crop", {127}), ("squash", {0, 127, 255})])
def test_resize_policies(resize: str, seen: set[int]) -> None:
    panorama = np.full((10, 40), 127, dtype=np.uint8)
    panorama[:, :15], panorama[:, -15:] = 0, 255
    backbone = SmallCNN.create(SmallCNN.Config(width=8, image_size=16, resize=resize), [])
    pixels = backbone.preprocess({"image": panorama})["pixels"]
    assert pixels.shape == (3, 16, 16)
    assert pixels.dtype == torch.uint8
    assert seen <= set(pixels.unique().tolist())
    assert resize == "squash" or seen == set(pixels.unique().tolist())


def test_cost_is_in_pixels(small: SmallCNN) -> None:
    example = small.preprocess({"image": np.zeros((5, 9), np.uint8)})
    assert small.cost(example) == 16 * 16
    assert small.cost_unit == "pixels"


def test_cache_key_follows_the_pixels_alone() -> None:
    def key(**options: object) -> object:
        return SmallCNN.create(SmallCNN.Config(**{"width": 8, **options}), []).fingerprint()

    assert key() == key(width=16, mean=(0.1, 0.1, 0.1))
    assert key() != key(image_size=40)
    assert key() != key(resize="squash")
    json.dumps(key())


@pytest.mark.parametrize("options", [{"image_size": 4}, {"width": 12}, {"depht": 2}, {"mean": (0.5, 0.5)}])
def test_bad_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SmallCNN.Config(**options)


def test_deviation_of_zero_is_refused() -> None:
    with pytest.raises(HeadstockError, match=r"backbone\.std must be above 0"):
        SmallCNN.create(SmallCNN.Config(width=8, std=(0.5, 0.0, 0.5)), [])


@pytest.mark.parametrize("make", [_smallcnn, _resnet])
def test_gradient_checkpointing_changes_no_number(make: Callable[[], Backbone], noise_batch: Batcher) -> None:
    plain = make().train()
    sparing = copy.deepcopy(plain)
    sparing.enable_gradient_checkpointing()
    inputs = noise_batch(plain)
    for backbone in (plain, sparing):
        (backbone(inputs).pooled ** 2).sum().backward()
    for (name, one), other in zip(plain.named_parameters(), sparing.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, rtol=1e-4, atol=1e-5), name
    for (name, one), other in zip(plain.named_buffers(), sparing.buffers(), strict=True):
        if "num_batches" not in name:
            assert torch.allclose(one, other, atol=1e-6), name


def test_gradient_checkpointing_keeps_less(noise_batch: Batcher) -> None:
    def kept(checkpointing: bool) -> int:
        backbone = _smallcnn().train()
        if checkpointing:
            backbone.enable_gradient_checkpointing()
        sizes: list[int] = []

        def pack(tensor: Tensor) -> Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            backbone(noise_batch(backbone))
        return sum(sizes)

    assert kept(True) < kept(False) / 2


def test_scale_and_offset_of_filters_do_not_matter(small: SmallCNN, noise_batch: Batcher) -> None:
    inputs = noise_batch(small)
    before = small(inputs).pooled
    with torch.no_grad():
        for module in small.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.mul_(3).add_(0.5)
    assert torch.allclose(small(inputs).pooled, before, atol=1e-3)


def test_convolutions_that_peft_adds_are_plain(small: SmallCNN) -> None:
    layer = next(module for module in small.modules() if isinstance(module, nn.Conv2d))
    added = type(layer)(3, 2, layer.kernel_size, layer.stride, layer.padding, bias=False)
    images = torch.rand(1, 3, 8, 8)
    expected = nn.functional.conv2d(images, added.weight, padding=1)
    assert torch.equal(added(images), expected)


def test_handful_of_digits_is_learnt() -> None:
    from headstock_vision.samples.digits import load_sample

    rows = load_sample()["train"][:60]
    backbone = SmallCNN.create(SmallCNN.Config(width=8, image_size=16), []).train()
    head = nn.Linear(backbone.feature_dim, 10)
    inputs = backbone.collate([backbone.preprocess({"image": row["image"]}) for row in rows])
    labels = torch.tensor([int(row["label"]) for row in rows])
    optimizer = torch.optim.AdamW([*backbone.parameters(), *head.parameters()], lr=5e-3)
    for _ in range(25):
        optimizer.zero_grad()
        nn.functional.cross_entropy(head(backbone(inputs).pooled), labels).backward()
        optimizer.step()
    with torch.no_grad():
        right = head(backbone.eval()(inputs).pooled).argmax(dim=1) == labels
    assert right.float().mean() > 0.9
