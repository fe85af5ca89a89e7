from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from headstock.interfaces import BadExampleError, Batch, Features
from headstock_vision import plugin
from headstock_vision.backbones.smallcnn import SmallCNN
from headstock_vision.decode import decode_image
from headstock_vision.tasks.augmentation import Strong, shift_and_flip
from headstock_vision.tasks.image_classification import ImageClassification


def _task(**options: object) -> ImageClassification:
    return ImageClassification(ImageClassification.Config(**options))


def _ranked(*labels: str) -> list[dict[str, Any]]:
    return [{"label": label, "score": 1 / (place + 2)} for place, label in enumerate(labels)]


def _pictures(count: int = 4, size: int = 32) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8)


# Plugin


def test_entries_lead_to_their_components() -> None:
    kinds = Counter()
    for entry in plugin.headstock_entries():
        module, attribute = entry.target.split(":")
        component = getattr(importlib.import_module(module), attribute)
        assert component.modality == entry.modality == "image"
        kinds[entry.kind] += 1
    assert kinds == {"backbone": 6, "task": 2}


def test_plugin_module_imports_nothing_heavy() -> None:
    code = "import sys, headstock_vision.plugin; print(sorted({'torch', 'PIL', 'numpy'} & set(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"


# Data


def test_sample_is_always_split_the_same() -> None:
    splits = _task().sample()
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 1100, "validation": 300, "test": 397}
    assert splits == _task().sample()
    images = [row["image"] + str(row["label"]).encode() for rows in splits.values() for row in rows]
    assert len(set(images)) > 1780  # a few digits were written twice alike
    for rows in splits.values():
        assert {row["label"] for row in rows} == set("0123456789")
    assert decode_image(splits["train"][0]["image"]).shape == (3, 8, 8)


def test_sample_fits_columns_and_inputs() -> None:
    task = _task()
    row = task.sample()["test"][0]
    assert set(row) == {column.name for column in task.columns}
    assert task.inputs(row) == {"image": row["image"]}
    assert task.reference(row) == row["label"]


@pytest.mark.parametrize("row", [{"label": "a"}, {"image": None, "label": "a"}, {"image": " ", "label": "a"}])
def test_row_without_image(row: dict[str, Any]) -> None:
    with pytest.raises(BadExampleError, match="no image"):
        _task().inputs(row)


def test_schema_is_what_other_tools_expect() -> None:
    task = _task()
    assert task.pipeline_tag == "image-classification"
    image, label = task.columns
    assert image.content == "file"
    assert {".jpg", ".jpeg", ".png", ".webp"} <= set(image.suffixes)
    assert label.stratify
    assert task.metrics[0].name == "accuracy"


# Metrics


def test_top5_accuracy() -> None:
    task = _task()
    task.restore({"labels": list("abcdefg"), "weights": None})
    predictions = [_ranked(*"abcdefg"), _ranked(*"bcdefag"), _ranked(*"gfedcba")]
    scores = task.score(predictions, ["a", "a", "c"])
    assert scores["accuracy"] == pytest.approx(1 / 3)
    assert scores["top5_accuracy"] == pytest.approx(2 / 3)
    assert set(scores) == {metric.name for metric in task.metrics}


def test_top5_accuracy_with_few_labels_is_one() -> None:
    task = _task()
    task.restore({"labels": ["no", "yes"], "weights": None})
    assert task.score([_ranked("no", "yes")], ["yes"])["top5_accuracy"] == 1.0


def test_predictions_are_in_wire_form(small: SmallCNN) -> None:
    task = _task()
    task.learn(["cat", "dog", "cat"])
    batch = Batch(
        small.collate([small.preprocess({"image": row["image"]}) for row in task.sample()["test"][:2]]), {}, 2
    )
    features: Features = small.eval()(batch.inputs)
    predictions = task.decode(task.forward(task.build_head(small).eval(), features, batch), batch)
    for prediction in predictions:
        wire = json.loads(json.dumps(task.to_pipeline(prediction, {})))
        assert {scored["label"] for scored in wire} == {"cat", "dog"}
        assert sum(scored["score"] for scored in wire) == pytest.approx(1, abs=1e-4)


# Augmentation


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("level", ["light", "strong"])
def test_augmentation_is_deterministic_under_a_seed(level: str, flip: bool) -> None:
    task = _task(augmentation=level, horizontal_flip=flip)
    inputs = {"pixels": _pictures(8), "other": torch.arange(8)}
    before = inputs["pixels"].clone()

    def augmented(seed: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(seed)
        return task.augment(Batch(inputs, {}, 8)).inputs

    one, same, other = augmented(1), augmented(1), augmented(2)
    assert one["pixels"].dtype == torch.uint8
    assert one["pixels"].shape == inputs["pixels"].shape
    assert torch.equal(one["pixels"], same["pixels"])
    assert not torch.equal(one["pixels"], other["pixels"])
    assert torch.equal(one["other"], inputs["other"])
    assert torch.equal(inputs["pixels"], before)


@pytest.mark.parametrize(
    ("options", "frozen", "augments"),
    [
        ({}, False, True),
        ({}, True, False),
        ({"horizontal_flip": True}, True, True),
        ({"augmentation": "light"}, True, True),
    ],
)
def test_images_are_augmented_unless_a_frozen_backbone_could_be_run_once(
    options: dict[str, Any], frozen: bool, augments: bool
) -> None:
    task, backbone = _task(**options), SmallCNN.create(SmallCNN.Config(), iter(()))
    task.learn(["cat", "dog"])
    backbone.requires_grad_(not frozen)
    task.build_head(backbone)
    batch = Batch({"pixels": _pictures()}, {}, 1)
    assert task.augments is augments
    assert (task.augment(batch) is not batch) is augments


def test_no_augmentation_changes_nothing() -> None:
    batch = Batch({"pixels": _pictures()}, {}, 1)
    assert _task(augmentation="none", horizontal_flip=True).augment(batch) is batch


def test_each_image_is_changed_by_itself() -> None:
    same = _pictures(1).expand(32, -1, -1, -1)
    assert len({image.numpy().tobytes() for image in shift_and_flip(same, flip=False)}) > 16
    assert len({image.numpy().tobytes() for image in Strong()(same)}) > 16


def test_shift_moves_by_at_most_an_eighth_and_reflects() -> None:
    column = torch.arange(32, dtype=torch.uint8)
    pixels = (column[None, :] + 4 * column[:, None]).to(torch.uint8).expand(64, 3, 32, 32)
    padded = torch.nn.functional.pad(pixels[:1].float(), (4, 4, 4, 4), mode="reflect").to(torch.uint8)[0]
    crops = {padded[:, y : y + 32, x : x + 32].contiguous().numpy().tobytes() for y in range(9) for x in range(9)}
    seen = {image.contiguous().numpy().tobytes() for image in shift_and_flip(pixels, flip=False)}
    assert seen <= crops
    assert len(seen) > 20


def test_flip_mirrors_about_half() -> None:
    pixels = torch.zeros(200, 3, 8, 8, dtype=torch.uint8)
    pixels[..., 4:] = 255
    left_is_bright = shift_and_flip(pixels, flip=True)[:, 0, 4, 0] == 255
    assert 60 < int(left_is_bright.sum()) < 140
    assert not (shift_and_flip(pixels, flip=False)[:, 0, 4, 0] == 255).any()


def test_unknown_augmentation_is_refused() -> None:
    with pytest.raises(ValidationError, match="augmentation"):
        ImageClassification.Config(augmentation="wild")
