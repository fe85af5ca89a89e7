from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from PIL import Image

from headstock import HeadstockError
from headstock.interfaces import BadExampleError, Batch, Features
from headstock_vision.backbones.smallcnn import SmallCNN
from headstock_vision.detection.dense import DenseHead, overlap
from headstock_vision.detection.heads import Limits, padded
from headstock_vision.detection.maps import Maps, maps_of
from headstock_vision.tasks.object_detection import ObjectDetection

LIMITS = Limits(score=0.1, overlap=0.5, most=2)


def dense(side: int = 8, *sides: int, **options: int) -> DenseHead:
    return DenseHead(4, 2, Maps(0, (side, *sides)), LIMITS, **{"dim": 8, "layers": 0, "cells": 1, **options})


HEAD = dense(layers=1)


def task(**options: Any) -> ObjectDetection:
    made = ObjectDetection(ObjectDetection.Config(**options))
    made.restore({"labels": ["cat", "dog"]})
    return made


def thing(label: str, xmin: float, ymin: float, xmax: float, ymax: float) -> dict[str, Any]:
    return {"label": label, "box": {"xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax}}


def scored(score: float, *what: Any) -> dict[str, Any]:
    return {"score": score, **thing(*what)}


# Where objects are looked for


def test_maps_of_a_sequence() -> None:
    backbone = SmallCNN.create(SmallCNN.Config(width=8, image_size=64), ())
    maps = maps_of(backbone)
    assert maps.prefix == 0
    assert backbone.training
    sequence = torch.arange(2.0 * 5 * 3).view(2, 5, 3)
    (plane,) = Maps(1, (2,)).split(sequence)
    assert plane.shape == (2, 3, 2, 2)
    assert plane[1, :, 1, 0].tolist() == sequence[1, 3].tolist()


def test_one_vector_for_an_image_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = SmallCNN.create(SmallCNN.Config(width=8), ())
    pooled = torch.zeros(1, 8)
    monkeypatch.setattr(backbone, "forward", lambda _: Features(pooled[:, None], torch.ones(1, 1).bool(), pooled))
    with pytest.raises(HeadstockError, match="one vector for the whole image"):
        maps_of(backbone)


def test_a_single_map_is_enlarged() -> None:
    logits, boxes = dense(3, cells=10).everywhere(torch.zeros(2, 9, 4))
    assert logits.shape == (2, 144, 2)
    assert boxes.shape == (2, 144, 4)
    assert logits.sigmoid().max() < 0.05


def test_cells_find_the_object_whose_middle_is_near() -> None:
    boxes = torch.tensor([[[0.0, 0.0, 0.75, 0.75], [0.9, 0.9, 0.91, 0.91], [-100.0] * 4]])
    number, found = HEAD.match(boxes, torch.tensor([[True, True, False]]))
    grid, there = number.view(8, 8), found.view(8, 8)
    assert there[1:5, 1:5].all()  # 1.5 cells around the middle, which lies between cells 2 and 3
    assert not grid[1:5, 1:5].any()
    assert there[7, 7]  # too small to hold the middle of any cell, and found all the same
    assert grid[7, 7] == 1
    assert there.sum() == 17


def test_the_smaller_of_two_objects_has_the_cell() -> None:
    boxes = torch.tensor([[[0.0, 0.0, 1.0, 1.0], [0.4, 0.4, 0.6, 0.6]]])
    number, found = HEAD.match(boxes, torch.tensor([[True, True]]))
    assert number.view(8, 8)[3:5, 3:5].eq(1).all()
    assert found.view(8, 8)[3:5, 3:5].all()


def test_large_objects_are_looked_for_on_coarse_maps() -> None:
    head = dense(16, 4)
    boxes = torch.tensor([[[0.0, 0.0, 1.0, 1.0], [0.1, 0.1, 0.3, 0.3]]])
    number, found = head.match(boxes, torch.tensor([[True, True]]))
    assert set(number[0, :256][found[0, :256]].tolist()) == {1}
    assert set(number[0, 256:][found[0, 256:]].tolist()) == {0}


# Loss


def test_the_loss_of_perfect_boxes_and_scores_is_least() -> None:
    boxes, labels = torch.tensor([[[0.0, 0.0, 0.5, 0.5]]]), torch.tensor([[1]])
    _, found = HEAD.match(boxes, torch.tensor([[True]]))
    edges = torch.where(found.unsqueeze(2), boxes, torch.tensor([0.0, 0.0, 0.1, 0.1]))
    logits = torch.full((1, 64, 2), -20.0)
    logits[0, found[0], 1] = 20.0
    best, count = HEAD.losses(logits, edges, labels, boxes)
    assert best == pytest.approx(0, abs=1e-4)
    assert count == found.sum()
    assert HEAD.losses(-logits, edges, labels, boxes)[0] > best + 1
    assert HEAD.losses(logits, edges + 0.1, labels, boxes)[0] > best + 1


def test_the_loss_of_an_image_without_objects() -> None:
    labels, boxes = torch.full((1, 1), -100), torch.full((1, 1, 4), -100.0)
    logits, edges = HEAD.everywhere(torch.randn(1, 64, 4))
    loss, count = HEAD.losses(logits, edges, labels, boxes)
    assert count == 1
    assert 0 < loss < 1
    loss.sum().backward()
    assert all(each.grad is None or each.grad.isfinite().all() for each in HEAD.parameters())


def test_overlap() -> None:
    first = torch.tensor([[0.0, 0, 2, 2], [0, 0, 1, 1], [0, 0, 1, 1]])
    second = torch.tensor([[1.0, 0, 3, 2], [0, 0, 1, 1], [2, 2, 3, 3]])
    assert overlap(first, second).tolist() == pytest.approx([1 / 3, 1, 0])


# Targets and augmentation


def test_targets_are_shares_of_the_image_and_cut_at_its_edge() -> None:
    example = {"size": torch.tensor([100, 200])}
    target = task().encode([thing("dog", -10, 50, 100, 150)], example)
    assert target["boxes"].tolist() == [[0.0, 0.5, 0.5, 1.0]]
    assert target["labels"].tolist() == [1]
    with pytest.raises(BadExampleError, match=r"object 1 \('cat'\) lies outside the image of 200x100 pixels"):
        task().encode([thing("cat", 210, 0, 220, 10)], example)
    with pytest.raises(HeadstockError, match="does not say how large the image was"):
        task().encode([], {})


def test_images_with_and_without_objects_stand_in_one_batch() -> None:
    example = {"size": torch.tensor([10, 10])}
    some = task().encode([thing("cat", 0, 0, 5, 5), thing("dog", 0, 0, 5, 5)], example)
    none = task().encode([], example)
    together = task().collate([none, some])
    assert together["labels"].tolist() == [[-100, -100], [0, 1]]
    assert task().collate([none])["boxes"].shape == (1, 1, 4)


@pytest.mark.parametrize(("axis", "edges"), [(3, [0.5, 0.25, 1.0, 0.5]), (2, [0.0, 0.5, 0.5, 0.75])])
def test_boxes_are_mirrored_with_their_image(axis: int, edges: list[float]) -> None:
    torch.manual_seed(0)
    pixels = torch.randint(0, 255, (64, 3, 4, 4), dtype=torch.uint8)
    box = [0.0, 0.25, 0.5, 0.5]
    targets = {"boxes": torch.tensor([[box, [-100.0] * 4]] * 64), "labels": torch.tensor([[0, -100]] * 64)}
    mirrored = task(horizontal_flip=axis == 3, vertical_flip=axis == 2).augment(Batch({"pixels": pixels}, targets, 64))
    turned = 0
    for number in range(64):
        image, (found, padding) = mirrored.inputs["pixels"][number], mirrored.targets["boxes"][number].tolist()
        is_turned = image.equal(pixels[number].flip(axis - 1))
        turned += is_turned
        assert is_turned or image.equal(pixels[number])
        assert found == (edges if is_turned else box)
        assert padding == [-100.0] * 4
    assert 16 < turned < 48
    assert targets["boxes"][0, 0].tolist() == box


def test_one_label_is_enough() -> None:
    made = ObjectDetection(ObjectDetection.Config())
    made.learn([[], [thing("wheat", 0, 0, 1, 1)]])
    assert made.state() == {"labels": ["wheat"]}
    with pytest.raises(HeadstockError, match="at least one label; it has none"):
        made.learn([[], []])


def test_whole_images_are_squashed_and_keep_their_size() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (100, 50)).save(stream, "PNG")
    backbone = SmallCNN.create(SmallCNN.Config(width=8), ())
    example = backbone.preprocess(task().inputs({"image": stream.getvalue()}))
    assert example["size"].tolist() == [50, 100]
    assert example["pixels"].shape == (3, 32, 32)
    assert "size" not in backbone.preprocess({"image": stream.getvalue()})
    assert backbone.collate([example, example])["size"].shape == (2, 2)


# Predictions


def test_doubles_and_weak_objects_are_left_out() -> None:
    edges = torch.tensor([[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.45], [0.5, 0.5, 1, 1], [0, 0.5, 0.5, 1]])
    scores = torch.tensor([[0.9, 0.01], [0.8, 0.3], [0.05, 0.2], [0.15, 0.01]])
    values, labels, boxes = HEAD.best(scores, edges)
    assert values.tolist() == pytest.approx([0.9, 0.3])
    assert labels.tolist() == [0, 1]
    assert boxes.equal(edges[:2])


def test_objects_are_given_in_pixels_of_their_image() -> None:
    outputs = padded(
        [(torch.tensor([0.9, 0.2]), torch.tensor([0, 1]), torch.tensor([[0, 0, 0.5, 1.2], [0, 0, 1, 1]]))], 3
    )
    batch = Batch({"size": torch.tensor([[100, 200]])}, {}, 1)
    (found,) = task().decode(outputs, batch)
    assert found == [scored(0.9, "cat", 0, 0, 100, 100), scored(0.2, "dog", 0, 0, 200, 100)]
    assert task(predict_threshold=0.5).to_pipeline(found, {}) == found[:1]


def test_no_object_at_all() -> None:
    head = dense(2).eval()
    torch.nn.init.constant_(head.labels.bias, -9)
    outputs = head(torch.zeros(1, 4, 4), {})
    assert task().decode(outputs, Batch({"size": torch.tensor([[9, 9]])}, {}, 1)) == [[]]


def test_average_precision() -> None:
    truth = [[thing("cat", 0, 0, 100, 100), thing("dog", 0, 0, 50, 50)], []]
    right = [[scored(0.9, "cat", 0, 0, 100, 100), scored(0.8, "dog", 0, 0, 50, 50)], []]
    assert task().score(right, truth) == {"map": 1.0, "map_50": 1.0, "map_75": 1.0, "recall": 1.0}
    loose = [[scored(0.9, "cat", 0, 0, 100, 62), scored(0.8, "dog", 0, 0, 50, 50)], []]  # an overlap of 0.62
    figures = task().score(loose, truth)
    assert figures["map_50"] == 1.0
    assert figures["map_75"] == pytest.approx(0.5)
    assert figures["map"] == pytest.approx((1 + 0.3) / 2)
    assert task().score([[], []], truth)["map"] == 0.0
    assert task().score([[], []], [[], []])["map"] == 0.0


def test_details_are_those_of_labels_that_occur() -> None:
    truth = [[thing("cat", 0, 0, 100, 100)]]
    found = [[scored(0.9, "cat", 0, 0, 100, 100), scored(0.9, "dog", 0, 0, 10, 10)]]
    assert task().details(found, truth).per_class == {"cat": {"map": 1.0, "recall": 1.0, "support": 1.0}}
