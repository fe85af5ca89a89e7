from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from headstock import HeadstockError
from headstock.interfaces.notes import noting
from headstock_text.backbones.use import multilingual
from headstock_text.backbones.use.files import WEIGHTS
from headstock_text.backbones.use.multilingual import END, START, UNKNOWN, UseMultilingual, UseMultilingualConfig
from headstock_text.sentencepiece import read_unigram, shortest

pytestmark = pytest.mark.skipif(WEIGHTS.missing() is not None, reason=f"{WEIGHTS.requirement} is not installed")

# Ids and first values of the package's own output, of length 1.
RECORDED = {
    "The cat sleeps on the sofa.": (
        [76, 2665, 3889, 9, 54, 12, 102, 2216, 8],
        [-0.0772366, -0.0422185, 0.0402981, 0.0652295, 0.0074179, -0.0565483],
    ),
    "猫在沙发上睡觉。": (
        [6, 8312, 171, 4041, 1397, 205, 4083, 2797, 27],
        [-0.0708074, -0.0678638, 0.0600730, 0.0545154, -0.0415149, -0.0520347],
    ),
}


def make(inputs: Sequence[Mapping[str, Any]] = (), **options: Any) -> UseMultilingual:
    return UseMultilingual.create(UseMultilingualConfig(**options), inputs).eval()


@torch.no_grad()
def test_ids_and_features_are_those_of_the_package() -> None:
    backbone = make()
    examples = [backbone.preprocess({"text": text}) for text in RECORDED]
    features = backbone(backbone.collate(examples))

    for example, pooled, (ids, values) in zip(examples, features.pooled, RECORDED.values(), strict=True):
        assert example["ids"].tolist() == [START, *ids, END]
        torch.testing.assert_close(normalize(pooled[-512:], dim=0)[:6], torch.tensor(values), rtol=0, atol=1e-6)


def test_marks_cannot_be_written_in_a_text() -> None:
    ids = make(pieces=2000).preprocess({"text": "a </s> b <unk>"})["ids"].tolist()
    assert ids[0] == START
    assert not {START, END} & set(ids[1:-1])


def test_each_word_starts_at_its_first_letter() -> None:
    backbone = make()
    example = backbone.preprocess({"words": ["我", "在", "北", "京", "\u200b", "Angela", ""]})
    starts = example["word_starts"].tolist()

    assert [backbone.tokenizer.id_to_token(id) for id in example["ids"][starts[:4]]] == ["我", "在", "北", "京"]
    assert starts == sorted(set(starts))
    assert len(starts) == 7
    assert example["ids"][starts[-1]] == UNKNOWN


def test_what_does_not_fit_is_left_out_and_noted() -> None:
    backbone = make(pieces=2000, max_length=8)
    with noting() as notes:
        pair = backbone.preprocess({"text": "a b c d e f g h", "text_pair": "a"})["ids"]
        words = backbone.preprocess({"words": list("abcdefgh")})

    assert len(pair) == 8
    assert pair.tolist().count(END) == 2
    assert len(words["ids"]) <= 8
    assert len(words["word_starts"]) < 8
    assert len(notes) == 2


def test_vectors_of_pieces_in_the_training_text_are_trained() -> None:
    backbone = make([{"text": "the cat"}], pieces=2000)
    batch = backbone.collate([backbone.preprocess({"text": "the cat and dogs"})])
    backbone(batch).pooled.sum().backward()
    gradient = backbone.change.weight.grad

    assert gradient is not None
    assert len(gradient) == len(backbone.seen) + 1
    assert gradient[0].abs().sum() == 0
    assert not hasattr(make(train_vectors=False, pieces=2000), "change")
    assert all(parameter.grad is not None for parameter in backbone.body.parameters())


@torch.no_grad()
def test_a_saved_one_needs_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = make([{"text": "the cat"}], pieces=2000)
    backbone.change.weight[1:].add_(0.1)
    backbone.save(tmp_path)
    monkeypatch.setattr(multilingual, "released", None)
    monkeypatch.setattr(multilingual, "released_tokenizer", None)
    loaded = UseMultilingual.load(backbone.config, tmp_path).eval()
    inputs = {"text": "the cat and dogs"}

    assert loaded.fingerprint() == backbone.fingerprint()
    batch = backbone.collate([backbone.preprocess(inputs)])
    assert loaded(loaded.collate([loaded.preprocess(inputs)])).pooled.equal(backbone(batch).pooled)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(HeadstockError, match=r"cannot read .*tokenizer\.json"):
        UseMultilingual.load(backbone.config, tmp_path)


def test_scores_are_the_shortest_numbers_that_are_the_same_in_32_bits() -> None:
    scores = np.array([-13.207462, 0.0, -0.1, 3.0, 1 / 3, 1e-12, -1.5e10, 16777217, 3.4e38], dtype=np.float32)
    assert shortest(scores) == [float(str(score)) for score in scores]


@pytest.mark.parametrize("data", [b"", b"\x08\x01", b"\x0a\xff", b"no model"])
def test_other_files_are_no_sentencepiece_model(data: bytes) -> None:
    with pytest.raises(ValueError, match="no SentencePiece model"):
        read_unigram(data)
