from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from headstock import HeadstockError, TrainingFacts
from headstock_vision.backbones.networks import torchvision_build
from headstock_vision.backbones.networks.efficientnet_lite import efficientnet_lite0
from headstock_vision.backbones.torchvision_net import Torchvision

Batcher = Callable[..., dict[str, Tensor]]


def _create(model: str, weights: str = "none", **options: object) -> Torchvision:
    return Torchvision.create(Torchvision.Config(model=model, weights=weights, **options), [])


# model, image size (0: its own), width, length of the sequence
FAMILIES = [
    ("resnet18", 64, 512, 4),
    ("mobilenet_v3_small", 64, 1024, 1),
    ("mobilenet_v2", 64, 1280, 4),
    ("efficientnet_b0", 64, 1280, 4),
    ("efficientnet_lite0", 64, 1280, 4),
    ("vit_b_32", 64, 768, 5),
    ("convnext_tiny", 64, 768, 4),
    ("densenet121", 64, 1024, 4),
    ("shufflenet_v2_x0_5", 64, 1024, 4),
    ("squeezenet1_0", 64, 512, 9),
    ("swin_t", 64, 768, 4),
    ("regnet_y_400mf", 64, 440, 4),
    ("mnasnet0_5", 64, 1280, 4),
    ("googlenet", 64, 1024, 4),
]


@pytest.mark.parametrize(("model", "size", "width", "length"), FAMILIES, ids=[family[0] for family in FAMILIES])
def test_every_family_gives_features(model: str, size: int, width: int, length: int, noise_batch: Batcher) -> None:
    backbone = _create(model, image_size=size).eval()
    with torch.no_grad():
        features = backbone(noise_batch(backbone, 2))
    assert backbone.feature_dim == width
    assert features.pooled.shape == (2, width)
    assert features.sequence.shape == (2, length, width)
    assert features.mask.shape == (2, length)


def test_pooled_is_what_the_classifier_saw(noise_batch: Batcher) -> None:
    backbone = _create("resnet18", image_size=64).eval()
    whole = torchvision.models.resnet18().eval()
    whole.load_state_dict(backbone.body.network.state_dict(), strict=False)
    inputs = noise_batch(backbone, 2)
    with torch.no_grad():
        scores = whole(backbone.embed(inputs))
        again = whole.fc(backbone(inputs).pooled)
    assert torch.allclose(scores, again, atol=1e-5)


def test_dropout_before_the_classifier_is_left_to_the_head() -> None:
    classifier = _create("efficientnet_b0", image_size=32).body.network.classifier
    assert [type(layer) for layer in classifier] == [nn.Identity, nn.Identity]


def test_unknown_model_names_the_nearest() -> None:
    with pytest.raises(HeadstockError, match=r"no classification network 'resnet81'; did you mean .*resnet18"):
        _create("resnet81")


def test_unknown_weights_say_which_there_are() -> None:
    with pytest.raises(
        HeadstockError, match=r"resnet18 has no weights 'imagenet'; choose none, default, IMAGENET1K_V1"
    ):
        _create("resnet18", "imagenet")
    with pytest.raises(HeadstockError, match=r"give the path of a \.safetensors file"):
        _create("efficientnet_lite0", "default")


def test_facts_follow_the_weights() -> None:
    facts = torchvision_build.pretraining_facts
    assert facts("resnet50", "none")[:3] == (224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert facts("vit_b_16", "IMAGENET1K_SWAG_E2E_V1")[0] == 384
    assert facts("vit_b_16", "IMAGENET1K_SWAG_E2E_V1").interpolation == "bicubic"
    assert facts("googlenet", "default").mean == (0.5, 0.5, 0.5)
    assert facts("efficientnet_lite0", "none").mean[0] * 255 == pytest.approx(127)


def test_image_size_that_does_not_fit_is_one_line() -> None:
    with pytest.raises(HeadstockError, match=r"vit_b_32 cannot be made for images of 40 pixels"):
        _create("vit_b_32", image_size=40)
    with pytest.raises(HeadstockError, match=r"does not take images of 16x16 pixels"):
        _create("alexnet", image_size=16)


def test_trainer_defaults_are_gentler_with_weights() -> None:
    facts = TrainingFacts("image-classification", "torchvision", "full", 1000, True, 11_000_000)
    tuned = Torchvision.trainer_defaults(Torchvision.Config(model="resnet18"), facts)
    scratch = Torchvision.trainer_defaults(Torchvision.Config(model="resnet18", weights="none"), facts)
    assert tuned["learning_rate"] < scratch["learning_rate"]
    assert tuned["epochs"] < scratch["epochs"]


@pytest.fixture
def half_file(tmp_path: Path) -> Path:
    """Weights of a whole resnet18 with 7 classes, in half precision."""
    torch.manual_seed(1)
    state = torchvision.models.resnet18(num_classes=7).state_dict()
    path = tmp_path / "tuned.safetensors"
    save_file({name: value.half() if value.is_floating_point() else value for name, value in state.items()}, path)
    return path


def test_local_file_is_loaded_but_for_its_classifier(half_file: Path) -> None:
    backbone = _create("resnet18", str(half_file), image_size=64)
    stored = load_file(half_file)
    own = backbone.body.network.state_dict()
    assert set(stored) - set(own) == {"fc.weight", "fc.bias"}
    for name, value in own.items():
        assert value.dtype in (torch.float32, torch.int64)
        assert torch.equal(value, stored[name].to(value.dtype)), name
    assert backbone.source == str(half_file)


@pytest.mark.parametrize(("batch_norm", "moves"), [("auto", False), ("fixed", False), ("updated", True)])
def test_statistics_of_pretrained_batch_norm(
    batch_norm: str, moves: bool, half_file: Path, noise_batch: Batcher
) -> None:
    backbone = _create("resnet18", str(half_file), image_size=64, batch_norm=batch_norm).train()
    before = backbone.body.network.bn1.running_mean.clone()
    inputs = noise_batch(backbone)
    together = backbone(inputs).pooled[:1]
    assert torch.equal(before, backbone.body.network.bn1.running_mean) is not moves
    alone = backbone({name: value[:1] for name, value in inputs.items()}).pooled
    assert torch.allclose(together, alone, atol=1e-4) is not moves
    assert backbone.body.network.bn1.weight.requires_grad
    assert backbone.body.training


def test_statistics_move_when_trained_from_scratch(noise_batch: Batcher) -> None:
    backbone = _create("resnet18", image_size=64).train()
    backbone(noise_batch(backbone))
    assert backbone.body.network.bn1.running_mean.abs().sum() > 0


def test_source_and_size_survive_saving(half_file: Path, tmp_path: Path) -> None:
    backbone = _create("resnet18", str(half_file), image_size=64)
    (tmp_path / "saved").mkdir()
    backbone.save(tmp_path / "saved")
    half_file.unlink()
    loaded = Torchvision.load(backbone.config, tmp_path / "saved")
    assert loaded.facts.image_size == 64
    whole = torchvision.models.resnet18()
    outcome = whole.load_state_dict(load_file(tmp_path / "saved" / "model.safetensors"), strict=False)
    assert (outcome.missing_keys, outcome.unexpected_keys) == (["fc.weight", "fc.bias"], [])


def test_file_of_another_network_is_refused(half_file: Path) -> None:
    with pytest.raises(HeadstockError, match=r"it lacks features\.") as caught:
        _create("mobilenet_v3_small", str(half_file))
    assert "has unknown" in str(caught.value)
    assert "\n" not in str(caught.value)
    state = load_file(half_file)
    state["conv1.weight"] = state["conv1.weight"][:, :1].contiguous()
    save_file(state, half_file)
    with pytest.raises(
        HeadstockError, match=r"conv1\.weight has shape \[64, 1, 7, 7\], the network has \[64, 3, 7, 7\]"
    ):
        _create("resnet18", str(half_file))


def test_missing_tensor_is_named(half_file: Path) -> None:
    state = load_file(half_file)
    del state["layer4.1.bn2.running_var"]
    save_file(state, half_file)
    with pytest.raises(HeadstockError, match=r"it lacks layer4\.1\.bn2\.running_var$"):
        _create("resnet18", str(half_file))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(HeadstockError, match=r"there is no weights file .*gone\.safetensors"):
        _create("resnet18", str(tmp_path / "gone.safetensors"))
    (tmp_path / "bad.pth").write_bytes(b"PK\x03\x04")
    with pytest.raises(HeadstockError, match=r"bad\.pth is not a readable safetensors file"):
        _create("resnet18", str(tmp_path / "bad.pth"))


def test_released_weights_are_read_as_tensors_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, object] = {}
    state = torchvision.models.googlenet(aux_logits=True, init_weights=True).state_dict()

    def fetch(url: str, **options: object) -> dict[str, Tensor]:
        asked.update(options, url=url)
        return dict(state)

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fetch)
    backbone = _create("googlenet", "default", image_size=64)
    assert asked["weights_only"] is True
    assert asked["check_hash"] is True
    assert backbone.source == "torchvision/googlenet/IMAGENET1K_V1"
    assert torch.equal(backbone.body.network.conv1.conv.weight, state["conv1.conv.weight"])


def test_old_names_of_densenet_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    state = torchvision.models.densenet121().state_dict()
    old = {name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): value for name, value in state.items()}
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", lambda url, **options: old)
    network = _create("densenet121", "IMAGENET1K_V1", image_size=32).body.network
    name = "features.denseblock1.denselayer1.conv2.weight"
    assert torch.equal(network.get_parameter(name), state[name])


def test_no_network_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(url: str, **options: object) -> None:
        raise OSError("Name or service\nnot known")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)
    with pytest.raises(
        HeadstockError, match=r"cannot fetch weights from https://.*: Name or service not known"
    ) as caught:
        _create("resnet18", "default")
    assert "\n" not in str(caught.value)


def test_copy_is_independent(noise_batch: Batcher) -> None:
    backbone = _create("resnet18", image_size=64).eval()
    twin = copy.deepcopy(backbone)
    inputs = noise_batch(backbone, 2)
    with torch.no_grad():
        before = backbone(inputs)
        twin.body.network.conv1.weight.zero_()
        changed = twin(inputs)
        after = backbone(inputs)
    assert torch.equal(before.sequence, after.sequence)
    assert not torch.equal(changed.sequence, after.sequence)


def test_networks_without_stages_cannot_be_checkpointed() -> None:
    with pytest.raises(NotImplementedError):
        _create("alexnet", image_size=64).enable_gradient_checkpointing()


@pytest.mark.parametrize(
    "model", ["densenet121", "shufflenet_v2_x0_5", "swin_t", "regnet_y_400mf", "efficientnet_lite0"]
)
def test_checkpointing_gives_the_same_gradients(model: str, noise_batch: Batcher) -> None:
    plain = _create(model, image_size=64).eval()
    sparing = copy.deepcopy(plain)
    sparing.enable_gradient_checkpointing()
    inputs = noise_batch(plain, 2)
    for backbone in (plain, sparing):
        for stage in backbone.body.stages():
            stage.training = True  # the row of layers alone: without dropout, so that there is something to compare
        backbone(inputs).pooled.sum().backward()
    for (name, one), other in zip(plain.named_parameters(), sparing.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, rtol=1e-3, atol=1e-5), name


def test_efficientnet_lite0_recognises_ants_and_bees(shared_data: Path) -> None:
    weights = shared_data / "weights/efficientnet_lite0/model_torchvision_names_fp16.safetensors"
    backbone = _create("efficientnet_lite0", str(weights)).eval()
    network = efficientnet_lite0().eval()
    network.load_state_dict({name: value.float() for name, value in load_file(weights).items()})
    files = [
        (label, path)
        for label in ("ants", "bees")
        for path in sorted((shared_data / "image_classification/hymenoptera/valid" / label).iterdir())[:12]
    ]
    inputs = backbone.collate([backbone.preprocess({"image": path}) for _, path in files])
    with torch.no_grad():
        pooled = backbone(inputs).pooled
        scores = network.classifier(pooled)
        assert torch.allclose(scores, network(backbone.embed(inputs)), atol=1e-3)
    ant, bee = 310, 309
    truth = torch.tensor([ant if label == "ants" else bee for label, _ in files])
    assert (scores.argmax(dim=1) == truth).float().mean() > 0.4
    between = torch.where(scores[:, ant] > scores[:, bee], ant, bee)
    assert (between == truth).float().mean() > 0.9
