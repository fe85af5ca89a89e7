from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from headstock import HeadstockError
from headstock.interfaces import Example, Features
from headstock.interfaces.notes import noting
from headstock_text.backbones.bilstm import BiLstm
from headstock_text.backbones.textcnn import TextCnn
from headstock_text.backbones.vocabulary import SEPARATOR, UNKNOWN
from headstock_text.backbones.wordmodel import WordModel

TEXTS = [
    "the cat sat on the mat",
    "a dog ran after the cat",
    "cats and dogs sleep",
    "shares of the bank rose",
]
INPUTS = [{"text": text} for text in TEXTS]
CHINESE = [{"text": "我爱北京天安门"}, {"text": "北京欢迎你"}]
MODELS = [TextCnn, BiLstm]


def make(model: type[WordModel], inputs: list[dict[str, Any]] = INPUTS, **options: Any) -> WordModel:
    torch.manual_seed(0)
    small = {"embedding_dim": 12, "character_dim": 6, "min_count": 1}
    return model.create(model.Config(**{**small, **options}), inputs).eval()


def features(backbone: WordModel, examples: Sequence[Example]) -> Features:
    with torch.no_grad():
        return backbone.eval()(backbone.collate(examples))


@pytest.fixture(params=MODELS, ids=["textcnn", "bilstm"])
def model(request: pytest.FixtureRequest) -> type[WordModel]:
    chosen: type[WordModel] = request.param
    return chosen


@pytest.mark.parametrize("inputs", [INPUTS, CHINESE], ids=["words", "characters"])
def test_features_do_not_depend_on_neighbours_or_padding(model: type[WordModel], inputs: list[dict[str, Any]]) -> None:
    backbone = make(model, inputs)
    short = backbone.preprocess({"text": inputs[0]["text"][:9]})
    long = backbone.preprocess({"text": " ".join(each["text"] for each in inputs)})
    alone, together = features(backbone, [short]), features(backbone, [long, short])
    length = len(short["ids"])

    assert together.sequence.shape == (2, len(long["ids"]), backbone.feature_dim)
    assert together.mask.sum(dim=1).tolist() == [len(long["ids"]), length]
    torch.testing.assert_close(together.sequence[1, :length], alone.sequence[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(together.pooled[1], alone.pooled[0], rtol=0, atol=1e-5)


def test_several_layers_do_not_depend_on_padding_either() -> None:
    backbone = make(BiLstm, layers=3)
    examples = [backbone.preprocess(each) for each in INPUTS]
    alone = torch.cat([features(backbone, [example]).pooled for example in examples])

    torch.testing.assert_close(features(backbone, examples).pooled, alone, rtol=0, atol=1e-5)


def test_lstm_reads_both_ways() -> None:
    backbone = make(BiLstm)
    first = features(backbone, [backbone.preprocess({"text": "cat sat on mat"})]).sequence[0]
    other = features(backbone, [backbone.preprocess({"text": "cat sat on dog"})]).sequence[0]
    half = backbone.feature_dim // 2

    assert torch.equal(first[0, :half], other[0, :half])
    assert not torch.allclose(first[0, half:], other[0, half:])


def test_pooled_is_the_maximum_over_tokens(model: type[WordModel]) -> None:
    backbone = make(model)
    found = features(backbone, [backbone.preprocess({"text": "the cat"}), backbone.preprocess({"text": TEXTS[0]})])

    torch.testing.assert_close(found.pooled[0], found.sequence[0, :2].amax(dim=0))


def test_forward_is_embed_then_encode(model: type[WordModel]) -> None:
    backbone = make(model)
    inputs = backbone.collate([backbone.preprocess(each) for each in INPUTS])
    embedded = backbone.embed(inputs)

    assert embedded.shape == (*inputs["ids"].shape, 18)
    assert torch.equal(backbone.encode(embedded, inputs).pooled, backbone(inputs).pooled)
    shifted = backbone.encode(embedded + 1, inputs).pooled
    assert not torch.allclose(shifted, backbone(inputs).pooled)


def test_saved_and_loaded_is_the_same(model: type[WordModel], tmp_path: Path) -> None:
    backbone = make(model)
    backbone.save(tmp_path)
    loaded = model.load(backbone.config, tmp_path)
    examples = [backbone.preprocess(each) for each in INPUTS]

    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.safetensors", "vocabulary.json"]
    assert load_file(tmp_path / "model.safetensors").keys() == backbone.state_dict().keys()
    assert loaded.fingerprint() == backbone.fingerprint()
    for before, after in zip(examples, [loaded.preprocess(each) for each in INPUTS], strict=True):
        assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(features(loaded, examples).pooled, features(backbone, examples).pooled)


def test_whole_chinese_words(model: type[WordModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = make(model, CHINESE, unit="jieba")
    assert set(backbone.vocabulary.pieces) == {"我", "爱", "北京", "天安门", "欢迎", "你"}
    example = backbone.preprocess({"text": "北京天安门", "text_pair": "你"})
    assert [backbone.vocabulary.id_of(piece) for piece in ("北京", "天安门")] == example["ids"].tolist()[:2]
    assert example["ids"].tolist()[2] == SEPARATOR
    assert example["characters"].shape == (4, 3)
    backbone.save(tmp_path)
    assert torch.equal(
        model.load(backbone.config, tmp_path).preprocess({"text": "北京天安门"})["ids"], example["ids"][:2]
    )
    assert backbone.fingerprint()["segmenter"]
    monkeypatch.setattr("headstock_text.segmenting.find_spec", lambda name: None)
    for work in (lambda: make(model, CHINESE, unit="jieba"), lambda: model.load(backbone.config, tmp_path)):
        with pytest.raises(HeadstockError, match=r"needs the rjieba package: pip install 'headstock\[chinese\]'"):
            work()


def test_examples_are_compact() -> None:
    example = make(TextCnn).preprocess({"text": "the cat sat on " + "x" * 300})

    assert example["ids"].dtype == torch.int32
    assert example["characters"].dtype == torch.int16
    assert example["characters"].shape == (5, 20)


def test_words_have_one_token_each() -> None:
    backbone = make(BiLstm)
    example = backbone.preprocess({"words": ["the", "cat", "U.S.", "", "\u200b"]})

    assert example["word_starts"].tolist() == [0, 1, 2, 3, 4]
    assert len(example["ids"]) == 5


def test_words_cut_to_characters_start_at_their_first_one() -> None:
    backbone = make(BiLstm, CHINESE)
    example = backbone.preprocess({"words": ["北京", "", "欢", "abc"]})

    assert backbone.vocabulary.unit == "char"
    assert example["word_starts"].tolist() == [0, 2, 3, 4]
    assert len(example["ids"]) == 7
    assert "characters" not in example


def test_only_words_that_fit_have_a_start() -> None:
    by_word = make(BiLstm, max_length=8).preprocess({"words": ["cat"] * 20})
    by_character = make(BiLstm, CHINESE, max_length=8).preprocess({"words": ["北京天"] * 20})
    batch = make(BiLstm).collate([by_word, {**by_word, "word_starts": by_word["word_starts"][:2]}])

    assert by_word["word_starts"].tolist() == list(range(8))
    assert by_character["word_starts"].tolist() == [0, 3, 6]
    assert len(by_character["ids"]) == 8
    assert batch["word_starts"].tolist()[1] == [0, 1, -1, -1, -1, -1, -1, -1]


def test_a_pair_has_a_border_and_the_longer_text_is_cut() -> None:
    backbone = make(TextCnn, max_length=8)

    def sides(first: int, second: int) -> tuple[int, int]:
        ids = backbone.preprocess({"text": "cat " * first, "text_pair": "dog " * second})["ids"].tolist()
        return ids.index(SEPARATOR), len(ids) - ids.index(SEPARATOR) - 1

    assert sides(2, 3) == (2, 3)
    assert sides(50, 2) == (5, 2)
    assert sides(2, 50) == (2, 5)
    assert sum(sides(50, 50)) == 7


CUT, LOST = "texts cut to 8 tokens (backbone.max_length)", "words beyond 8 tokens left out, with their tags"


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"text": "cat " * 8}, {}),
        ({"text": "cat " * 9}, {CUT: 1}),
        ({"text": "cat " * 3, "text_pair": "dog " * 4}, {}),
        ({"text": "cat " * 4, "text_pair": "dog " * 4}, {CUT: 1}),
        ({"words": ["cat"] * 8}, {}),
        ({"words": ["cat"] * 20}, {f"{LOST} (backbone.max_length)": 12}),
    ],
)
def test_what_does_not_fit_is_noted(inputs: dict[str, Any], expected: dict[str, int]) -> None:
    backbone = make(TextCnn, max_length=8)
    with noting() as found:
        backbone.preprocess(inputs)
    assert found == expected


@pytest.mark.parametrize("text", ["", " \n", "\u200b", "\ud83d", "x" * 100_000, "我" * 5000, "\x00", "🤷🏽‍♀️"])
def test_odd_text_survives(model: type[WordModel], text: str) -> None:
    for backbone in (make(model), make(model, CHINESE)):
        for inputs in ({"text": text}, {"text": text, "text_pair": text}, {"words": [text]}, {"words": []}):
            example = backbone.preprocess(inputs)
            assert 1 <= backbone.cost(example) == len(example["ids"]) <= 256
            assert torch.isfinite(features(backbone, [example]).pooled).all()


def test_unknown_words_are_told_apart_by_their_characters() -> None:
    backbone = make(TextCnn)
    one, other = backbone.preprocess({"text": "catlike"}), backbone.preprocess({"text": "Doggedly"})
    blind = make(TextCnn, character_dim=0)

    assert one["ids"].tolist() == other["ids"].tolist() == [UNKNOWN]
    assert not torch.allclose(features(backbone, [one]).pooled, features(backbone, [other]).pooled)
    assert "characters" not in blind.preprocess({"text": "cat"})


def test_training_hides_words_at_random_but_never_a_border_or_padding() -> None:
    backbone = make(TextCnn, word_dropout=0.99, character_dim=0)
    inputs = backbone.collate(
        [backbone.preprocess({"text": "cat", "text_pair": "dog"}), backbone.preprocess({"text": "cat " * 30})]
    )
    calm = backbone.embed(inputs)
    hidden = backbone.train().embed(inputs)

    unknown = backbone.embedding.tokens.weight[UNKNOWN]
    assert (hidden[1] == unknown).all(dim=-1).sum() > 20
    assert torch.equal(hidden[0, 1], calm[0, 1])
    assert torch.equal(hidden[0, 3:], calm[0, 3:])


def test_fingerprint_follows_what_preprocessing_depends_on(model: type[WordModel]) -> None:
    backbone = make(model)

    assert backbone.fingerprint() == make(model, dropout=0.0, embedding_dim=7).fingerprint()
    for other in (make(model, CHINESE), make(model, max_length=9), make(model, lower_case=False)):
        assert other.fingerprint() != backbone.fingerprint()
    json.dumps(backbone.fingerprint())


def test_same_seed_same_weights(model: type[WordModel]) -> None:
    first, second = make(model).state_dict(), make(model).state_dict()

    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("options", [{"widths": ()}, {"widths": (0,)}, {"dropout": 1.0}, {"unit": "byte"}, {"wdth": 1}])
def test_options_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TextCnn.Config(**options)


def test_gradients_reach_every_weight(model: type[WordModel]) -> None:
    backbone = make(model, word_dropout=0.5).train()
    inputs = backbone.collate([backbone.preprocess({"text": f"{text} zzz", "text_pair": text}) for text in TEXTS])
    backbone(inputs).pooled.pow(2).sum().backward()

    assert [name for name, value in backbone.named_parameters() if value.grad is None] == []


def test_bfloat16_autocast_works(model: type[WordModel]) -> None:
    backbone = make(model)
    inputs = backbone.collate([backbone.preprocess(each) for each in INPUTS])
    with torch.autocast("cpu", torch.bfloat16):
        rough = backbone(inputs).pooled

    torch.testing.assert_close(rough.float(), backbone(inputs).pooled, rtol=0.1, atol=0.05)


def test_gradient_checkpointing_is_declined(model: type[WordModel]) -> None:
    with pytest.raises(NotImplementedError):
        make(model).enable_gradient_checkpointing()
