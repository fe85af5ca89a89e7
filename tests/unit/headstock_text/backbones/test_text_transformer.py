from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from transformers import AutoModel, AutoTokenizer

from headstock import HeadstockError
from headstock.interfaces.notes import noting
from headstock_text.backbones.transformer import TransformerText, TransformerTextConfig

Encoder = Callable[[str], str]
ARCHITECTURES = [
    "bert",
    "roberta",
    "distilbert",
    "electra",
    "albert",
    "deberta-v2",
    "modernbert",
    "mpnet",
    "t5",
]
TEXTS = ["the cat", "a dog ran and ran, hello world!", "我爱北京"]


def make(folder: str, **options: Any) -> TransformerText:
    return TransformerText.create(TransformerTextConfig(model=folder, **options), [])


@pytest.fixture
def bert(tiny_encoder: Encoder) -> TransformerText:
    return make(tiny_encoder("bert"))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@torch.no_grad()
def test_embeddings_give_what_ids_give_and_padding_changes_nothing(tiny_encoder: Encoder, architecture: str) -> None:
    backbone = make(tiny_encoder(architecture))
    examples = [backbone.preprocess({"text": text}) for text in TEXTS]
    batch = backbone.collate(examples)
    together = backbone(batch)
    by_ids = backbone.body(**batch).last_hidden_state

    assert together.sequence.shape == (3, batch["input_ids"].shape[1], backbone.feature_dim)
    torch.testing.assert_close(together.sequence[together.mask], by_ids[together.mask], rtol=0, atol=1e-5)
    for row, example in enumerate(examples):
        alone = backbone(backbone.collate([example]))
        length = len(example["input_ids"])
        assert together.mask[row].sum() == length
        torch.testing.assert_close(together.sequence[row, :length], alone.sequence[0], rtol=0, atol=1e-5)
        torch.testing.assert_close(together.pooled[row], alone.pooled[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@torch.no_grad()
def test_odd_input_survives(tiny_encoder: Encoder, architecture: str) -> None:
    backbone = make(tiny_encoder(architecture), max_length=16)
    for text in ("", " ", "cat " * 5000, "x" * 50_000, "\u200b", "half \ud83d", "\x00", "我" * 500, "[SEP] <pad>"):
        for inputs in ({"text": text}, {"text": text, "text_pair": text}, {"words": [text, "cat"]}, {"words": []}):
            example = backbone.preprocess(inputs)
            assert 1 <= backbone.cost(example) == len(example["input_ids"]) <= 16
            assert torch.isfinite(backbone(backbone.collate([example])).pooled).all()


def test_no_space_stands_before_chinese_words(tiny_encoder: Callable[[str], str]) -> None:
    backbone = make(tiny_encoder("t5"))
    tokenizer = backbone.tokenizer
    example = backbone.preprocess({"words": [*"我爱北", "the", "cat", "\uff0c", "★"]})
    tokens = tokenizer.convert_ids_to_tokens(example["input_ids"])
    assert tokens[:3] == [*"我爱北"]
    assert "▁" not in [tokens[start] for start in example["word_starts"]]
    assert len(example["word_starts"]) == 7
    english = ["the", "cat", "sat"]
    plain = tokenizer("the cat sat")["input_ids"]
    assert backbone.preprocess({"words": english})["input_ids"].tolist() == plain
    assert backbone.fingerprint()["joined"]
    assert not make(tiny_encoder("bert")).fingerprint()["joined"]
    # cut as ever: the words that fit have a start
    short = make(tiny_encoder("t5"), max_length=8)
    cut = short.preprocess({"words": [*"我爱北京天安门我爱北京"]})
    assert len(cut["input_ids"]) == 8
    assert cut["word_starts"].tolist() == list(range(7))


@pytest.mark.parametrize("architecture", ["bert", "roberta", "t5"])
def test_every_word_has_a_start_in_order(tiny_encoder: Encoder, architecture: str) -> None:
    backbone = make(tiny_encoder(architecture))
    words = ["the", "\u200b", "cat", "", "sat", "\u200b"]
    starts = backbone.preprocess({"words": words})["word_starts"].tolist()

    assert len(starts) == len(words)
    assert starts == sorted(set(starts))


@pytest.mark.parametrize("architecture", ["bert", "roberta", "t5"])
def test_words_are_tokenised_as_in_running_text(tiny_encoder: Encoder, architecture: str) -> None:
    backbone = make(tiny_encoder(architecture))
    text = "the cat sat on the mat"
    by_words = backbone.preprocess({"words": text.split()})

    assert by_words["input_ids"].tolist() == backbone.preprocess({"text": text})["input_ids"].tolist()
    starts = by_words["word_starts"].tolist()
    tokens = backbone.tokenizer.convert_ids_to_tokens(by_words["input_ids"].tolist())
    for start, end, word in zip(starts[:-1], starts[1:], text.split()[:-1], strict=True):
        assert "".join(token.strip("Ġ▁#") for token in tokens[start:end]) == word


def test_words_that_were_cut_off_have_no_start(bert: TransformerText) -> None:
    kept = bert.preprocess({"words": ["cat"] * 1000})["word_starts"].tolist()
    nothing = bert.preprocess({"words": ["\u200b"] * 1000})["word_starts"].tolist()
    mixed = bert.preprocess({"words": ["\u200b", "cat"] * 1000})["word_starts"].tolist()

    assert kept == nothing == mixed == list(range(1, 39))


def test_length_is_bounded_by_the_model_and_the_tokenizer(tiny_encoder: Encoder, tmp_path: Path) -> None:
    assert make(tiny_encoder("bert")).max_length == 40
    assert make(tiny_encoder("roberta")).max_length == 38
    assert make(tiny_encoder("t5")).max_length == 256
    assert make(tiny_encoder("bert"), max_length=10).max_length == 10

    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder("t5"))
    tokenizer.model_max_length = 20
    tokenizer.save_pretrained(tmp_path)
    AutoModel.from_pretrained(tiny_encoder("t5")).save_pretrained(tmp_path)
    assert make(str(tmp_path)).max_length == 20


@pytest.mark.parametrize("architecture", ["bert", "roberta"])
@torch.no_grad()
def test_texts_of_the_full_length_run(tiny_encoder: Encoder, architecture: str) -> None:
    backbone = make(tiny_encoder(architecture))
    example = backbone.preprocess({"text": "cat " * 100})

    assert len(example["input_ids"]) == backbone.max_length
    assert torch.isfinite(backbone(backbone.collate([example])).pooled).all()


def test_pairs_have_token_types_where_the_tokenizer_makes_them(tiny_encoder: Encoder) -> None:
    pair = {"text": "the cat", "text_pair": "a dog"}
    kinds = make(tiny_encoder("bert")).preprocess(pair)["token_type_ids"].tolist()

    assert kinds[0] == 0
    assert kinds[-1] == 1
    assert kinds == sorted(kinds)
    assert "token_type_ids" not in make(tiny_encoder("roberta")).preprocess(pair)
    # The tokenizer makes them, the model has no use for them.
    assert "token_type_ids" not in make(tiny_encoder("distilbert")).preprocess(pair)


@pytest.mark.parametrize("architecture", ["bert", "roberta", "t5"])
@pytest.mark.parametrize(("first", "second"), [(3, 4), (90, 4), (3, 90), (90, 90)])
def test_pairs_are_cut_as_tokenizers_do(tiny_encoder: Encoder, architecture: str, first: int, second: int) -> None:
    backbone = make(tiny_encoder(architecture), max_length=20)
    text, pair = "the cat " * first, "a dog " * second
    expected = backbone.tokenizer(text, pair, truncation=True, max_length=20)["input_ids"]

    with noting() as found:
        assert backbone.preprocess({"text": text, "text_pair": pair})["input_ids"].tolist() == expected
    cut = len(backbone.tokenizer(text, pair, verbose=False)["input_ids"]) > 20
    assert found == ({"texts cut to 20 tokens (backbone.max_length)": 1} if cut else {})


@pytest.mark.parametrize("architecture", ["bert", "roberta", "t5"])
def test_texts_and_words_that_do_not_fit_are_noted(tiny_encoder: Encoder, architecture: str) -> None:
    backbone = make(tiny_encoder(architecture), max_length=20)
    with noting() as found:
        backbone.preprocess({"text": "the cat"})
        backbone.preprocess({"words": ["the", "cat"]})
        assert not found
        backbone.preprocess({"text": "the cat " * 40})
        kept = len(backbone.preprocess({"words": ["the"] * 70})["word_starts"])
    lost = "words beyond 20 tokens left out, with their tags (backbone.max_length)"
    assert found == {"texts cut to 20 tokens (backbone.max_length)": 1, lost: 70 - kept}


def test_token_types_reach_the_model(bert: TransformerText) -> None:
    batch = bert.collate([bert.preprocess({"text": "the cat", "text_pair": "a dog"})])
    other = {**batch, "token_type_ids": torch.zeros_like(batch["token_type_ids"])}

    assert not torch.allclose(bert(batch).pooled, bert(other).pooled)


def test_examples_are_compact_and_batches_are_padded_at_the_right(tiny_encoder: Encoder) -> None:
    backbone = make(tiny_encoder("roberta"))
    short, long = backbone.preprocess({"words": ["cat"]}), backbone.preprocess({"words": ["the", "cat", "sat"]})
    batch = backbone.collate([short, long])
    length = len(short["input_ids"])

    assert short["input_ids"].dtype == torch.int32
    assert batch["input_ids"].dtype == torch.int64
    assert batch["input_ids"][0, length:].tolist() == [1] * (len(long["input_ids"]) - length)
    assert batch["attention_mask"].sum(dim=1).tolist() == [length, len(long["input_ids"])]
    assert batch["word_starts"][0].tolist() == [1, -1, -1]


@torch.no_grad()
def test_pooling(tiny_encoder: Encoder) -> None:
    folder = tiny_encoder("bert")
    mean, cls, pooler = (make(folder, pooling=pooling) for pooling in ("mean", "cls", "pooler"))
    batch = mean.collate([mean.preprocess({"text": text}) for text in TEXTS])
    features = mean(batch)
    whole = AutoModel.from_pretrained(folder)(**batch)

    torch.testing.assert_close(features.pooled[0], features.sequence[0][features.mask[0]].mean(dim=0))
    torch.testing.assert_close(cls(batch).pooled, features.sequence[:, 0])
    torch.testing.assert_close(pooler(batch).pooled, whole.pooler_output)
    assert mean.body.pooler is None


def test_an_unused_pooler_is_dropped_so_that_all_weights_are_trained(tiny_encoder: Encoder) -> None:
    for architecture in ("bert", "albert", "roberta"):
        backbone = make(tiny_encoder(architecture)).train()
        backbone(backbone.collate([backbone.preprocess({"text": "the cat"})])).pooled.sum().backward()
        assert [name for name, value in backbone.named_parameters() if value.grad is None] == []


@pytest.mark.parametrize(
    ("architecture", "pooling"), [("bert", "mean"), ("bert", "pooler"), ("roberta", "mean"), ("t5", "mean")]
)
def test_saved_and_loaded_is_the_same(
    tiny_encoder: Encoder, tmp_path: Path, architecture: str, pooling: str, capfd: pytest.CaptureFixture[str]
) -> None:
    backbone = make(tiny_encoder(architecture), pooling=pooling)
    example = backbone.preprocess({"words": ["the", "cat"]})
    capfd.readouterr()
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(0.01)
        before = backbone(backbone.collate([example])).pooled
        backbone.save(tmp_path)
        loaded = TransformerText.load(backbone.config, tmp_path)
        after = loaded(loaded.collate([loaded.preprocess({"words": ["the", "cat"]})])).pooled

    assert torch.equal(before, after)
    assert loaded.source == backbone.source == tiny_encoder(architecture)
    assert loaded.fingerprint() == backbone.fingerprint()
    assert capfd.readouterr() == ("", "")


def test_what_was_saved_loads_without_headstock(bert: TransformerText, tmp_path: Path) -> None:
    bert.save(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    batch = bert.collate([bert.preprocess({"text": "the cat"})])
    model, tokenizer = AutoModel.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)

    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]
    assert tokenizer("the cat")["input_ids"] == batch["input_ids"][0].tolist()
    with torch.no_grad():
        torch.testing.assert_close(model(**batch).last_hidden_state, bert(batch).sequence)


def test_half_precision_weights_become_float32(tiny_encoder: Encoder, tmp_path: Path) -> None:
    AutoModel.from_pretrained(tiny_encoder("bert"), dtype=torch.float16).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_encoder("bert")).save_pretrained(tmp_path)

    assert {parameter.dtype for parameter in make(str(tmp_path)).parameters()} == {torch.float32}


def test_fingerprint_follows_tokenizer_and_length_only(tiny_encoder: Encoder) -> None:
    backbone = make(tiny_encoder("bert"))
    fresh = backbone.fingerprint()
    backbone.preprocess({"text": "cat " * 100})

    assert backbone.fingerprint() == fresh
    assert make(tiny_encoder("bert"), pooling="cls").fingerprint() == fresh
    assert make(tiny_encoder("bert"), max_length=9).fingerprint() != fresh
    assert make(tiny_encoder("roberta")).fingerprint()["tokenizer"] != fresh["tokenizer"]
    assert make(tiny_encoder("distilbert")).fingerprint() != fresh  # the same tokenizer, but no token types
    json.dumps(fresh)


@pytest.mark.parametrize("architecture", ["bert", "roberta", "modernbert", "t5"])
def test_gradient_checkpointing_gives_the_same_gradients(tiny_encoder: Encoder, architecture: str) -> None:
    backbone = make(tiny_encoder(architecture))
    batch = backbone.collate([backbone.preprocess({"text": text}) for text in TEXTS])
    weight = backbone.body.get_input_embeddings().weight
    gradients = []
    for checkpointing in (False, True):
        if checkpointing:
            backbone.enable_gradient_checkpointing()
        backbone.train()
        backbone.zero_grad()
        torch.manual_seed(0)
        backbone(batch).pooled.pow(2).sum().backward()
        gradients.append(weight.grad.clone())

    torch.testing.assert_close(gradients[0], gradients[1])
    assert any(getattr(module, "gradient_checkpointing", False) for module in backbone.modules())


def test_gradient_checkpointing_is_declined_where_the_model_has_none(tiny_encoder: Encoder) -> None:
    with pytest.raises(NotImplementedError):
        make(tiny_encoder("mpnet")).enable_gradient_checkpointing()


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft calls it
def test_lora_in_place_of_the_body(bert: TransformerText) -> None:
    peft = pytest.importorskip("peft")
    batch = bert.collate([bert.preprocess({"text": text}) for text in TEXTS])
    before = bert(batch).pooled
    bert.body = peft.get_peft_model(bert.body, peft.LoraConfig(target_modules=["query", "value"])).eval()
    bert.enable_gradient_checkpointing()

    torch.testing.assert_close(bert(batch).pooled, before)
    bert.train()(batch).pooled.sum().backward()
    assert all("lora" in name for name, value in bert.named_parameters() if value.grad is not None)


@pytest.mark.parametrize(
    "options", [{}, {"model": ""}, {"model": "x", "max_length": 3}, {"model": "x", "pool": "mean"}]
)
def test_options_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TransformerTextConfig(**options)


def test_cls_pooling_needs_a_cls_token(tiny_encoder: Encoder) -> None:
    with pytest.raises(HeadstockError, match="puts no CLS token first; set pooling to mean"):
        make(tiny_encoder("t5"), pooling="cls")
