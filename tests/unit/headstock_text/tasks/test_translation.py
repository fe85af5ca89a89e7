from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForSeq2SeqLM,
    BartConfig,
    BartForConditionalGeneration,
    T5Config,
    T5ForConditionalGeneration,
)

from headstock import HeadstockError
from headstock.interfaces import BadExampleError, Features
from headstock.interfaces.notes import noting
from headstock_text.backbones.bilstm import BiLstm
from headstock_text.backbones.seq2seq import Seq2SeqText, Seq2SeqTextConfig
from headstock_text.backbones.subword_transformer import SubwordTransformer
from headstock_text.generation import Decoder, Limits, TextGenerator
from headstock_text.samples import number_words
from headstock_text.subwords import END, PADDING, START, Subwords
from headstock_text.tasks import bleu_tokenizer as tokenizers
from headstock_text.tasks.translation import Translation, TranslationConfig

ROWS = [
    {"source": "a dog ran", "target": "ein Hund lief"},
    {"source": "the cat sat on the mat", "target": "die Katze saß auf der Matte"},
    {"source": "hello", "target": "hallo Welt"},
    {"source": "paris is nice", "target": "Paris ist schön"},
]


def make(**options: Any) -> Translation:
    task = Translation(TranslationConfig(vocabulary=300, dim=32, layers=1, dropout=0.0, **options))
    task.learn([row["target"] for row in ROWS])
    return task


@pytest.mark.parametrize("text", ["Zwölf Boxkämpfer jagen Viktor", "我爱北京", "a  b", "née e\u0301t\u00e9", "😀"])
def test_subwords_give_any_text_back(text: str) -> None:
    subwords = Subwords.learn(["zwölf boxer", "one two three"] * 3, 300)
    again = Subwords.read(subwords.write())
    ids = subwords.ids(text)
    assert again.ids(text) == ids
    assert again.digest() == subwords.digest()
    assert subwords.text([START, *ids, END, PADDING]) == text.replace("e\u0301", "é").strip()


@pytest.mark.parametrize("backbone_class", [SubwordTransformer, BiLstm])
def test_learns_a_handful_of_sentences(backbone_class: Any, steps: Any) -> None:
    torch.manual_seed(0)
    task = make(label_smoothing=0.0, length_ratio=9.0)
    options = {"vocabulary": 300, "dim": 32, "layers": 1} if backbone_class is SubwordTransformer else {"min_count": 1}
    backbone = backbone_class.create(backbone_class.Config(dropout=0.0, **options), [task.inputs(row) for row in ROWS])
    task.bind(backbone)
    head = task.build_head(backbone)
    losses = steps.train(task, backbone, head, steps.prepare(task, backbone, ROWS), 150, 3e-3)
    assert losses[-1] < 0.1 * losses[0]
    predictions = steps.predict(task, backbone, head, ROWS)
    assert predictions == [row["target"] for row in ROWS]
    assert task.score(predictions, predictions) == pytest.approx({"bleu": 100.0, "chrf": 100.0, "exact_match": 1.0})
    assert task.to_pipeline(predictions[0], ROWS[0]) == {"translation_text": "ein Hund lief"}


def features(size: int, length: int, dim: int) -> Features:
    sequence = torch.randn(size, length, dim)
    mask = torch.arange(length) < torch.randint(2, length + 1, (size, 1))
    return Features(sequence, mask, sequence.mean(dim=1))


def test_teaching_looks_at_no_later_token() -> None:
    torch.manual_seed(0)
    decoder = Decoder(50, 8, 16, 4, 2, 0.0).eval()
    source = features(2, 5, 8)
    targets = torch.randint(4, 50, (2, 6))
    changed = targets.clone()
    changed[:, 4:] = 7
    first, second = decoder(targets, source), decoder(changed, source)
    torch.testing.assert_close(first[:, :5], second[:, :5])
    assert not torch.allclose(first[:, 5], second[:, 5])


def test_a_wide_search_finds_the_best_of_all_hypotheses() -> None:
    torch.manual_seed(1)
    decoder = Decoder(8, 8, 16, 4, 1, 0.0).eval().requires_grad_(False)
    decoder.embedding.weight.mul_(4)
    source = features(3, 4, 8)
    found = decoder.search(source, Limits(beams=125, max_tokens=4, per_source=0.0))
    tokens = [number for number in range(8) if number not in (PADDING, START, END)]
    for row in range(3):
        own = Features(*(part[row : row + 1] for part in source))
        scored = []
        for length in range(4):
            for body in itertools.product(tokens, repeat=length):
                whole = torch.tensor([[*body, END]])
                log_probs = decoder(whole, own).log_softmax(dim=2)
                scored.append((float(log_probs.gather(2, whole.unsqueeze(2)).mean()), [*body, END]))
        best = max(scored)[1]
        assert found[row, : len(best)].tolist() == best
        assert set(found[row, len(best) :].tolist()) <= {PADDING}


@pytest.mark.parametrize("beams", [1, 4])
def test_a_search_does_not_depend_on_its_neighbours(beams: int) -> None:
    torch.manual_seed(0)
    decoder = Decoder(40, 8, 16, 4, 2, 0.0).eval()
    source = features(5, 9, 8)
    together = decoder.search(source, Limits(beams, 20, 2.0))
    for row in range(5):
        length = int(source.mask[row].sum())
        own = Features(source.sequence[row : row + 1, :length], source.mask[row : row + 1, :length], source.pooled)
        alone = decoder.search(own, Limits(beams, 20, 2.0))[0]
        kept = [number for number in together[row].tolist() if number != PADDING]
        assert [number for number in alone.tolist() if number != PADDING] == kept
        assert kept[-1] == END
        assert len(kept) <= 10 + 2 * length


def test_long_sources_are_noted() -> None:
    backbone = SubwordTransformer.create(SubwordTransformer.Config(max_length=8, dim=8, heads=2), [{"text": "a cat"}])
    with noting() as found:
        backbone.preprocess({"text": "a cat " * 20})
        backbone.preprocess({"text": "a"})
        kept = len(backbone.preprocess({"words": ["cat"] * 20})["word_starts"])
    lost = "words beyond 8 tokens left out, with their tags (backbone.max_length)"
    assert found == {"texts cut to 8 tokens (backbone.max_length)": 1, lost: 20 - kept}


def test_long_targets_are_cut_and_keep_their_end() -> None:
    task = make(max_length=8)
    with noting() as found:
        tokens = task.encode("Wort " * 40, {})["tokens"]
        task.encode("Wort", {})
    assert found == {"target texts cut to 8 tokens (task.max_length)": 1}
    assert len(tokens) == 8
    assert tokens[-1] == END


@pytest.mark.parametrize("column", ["source", "target"])
@pytest.mark.parametrize("value", [None, 3, " ", ["a"]])
def test_bad_rows(column: str, value: Any) -> None:
    row = {**ROWS[0], column: value}
    with pytest.raises(BadExampleError, match=f"column '{column}'"):
        (make().inputs if column == "source" else make().reference)(row)


def test_number_words() -> None:
    assert number_words.english(241) == "two hundred and forty-one"
    assert number_words.german(241) == "zwei hundert ein und vierzig"
    assert number_words.german(101) == "ein hundert eins"
    assert number_words.german(117) == "ein hundert siebzehn"


# Pretrained encoder-decoders

SMALL = {"d_model": 16, "vocab_size": 400}


@pytest.fixture(params=["bart", "t5"])
def writer_folder(request: pytest.FixtureRequest, tiny_tokenizer: Callable[[], Any], tmp_path: Path) -> Path:
    torch.manual_seed(0)
    tokenizer = tiny_tokenizer()
    marks = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    if request.param == "bart":
        layers = {f"{side}_{what}": number for side in ("encoder", "decoder") for what, number in SIDES.items()}
        config = BartConfig(
            **SMALL, **layers, **marks, max_position_embeddings=64, decoder_start_token_id=2, dropout=0.0
        )
        model: Any = BartForConditionalGeneration(config)
    else:
        config = T5Config(
            **SMALL, **marks, d_kv=8, d_ff=32, num_layers=1, num_heads=2, dropout_rate=0.0, decoder_start_token_id=1
        )
        model = T5ForConditionalGeneration(config)
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


SIDES = {"layers": 1, "attention_heads": 2, "ffn_dim": 32}


def test_a_pretrained_model_writes_with_its_own_decoder(writer_folder: Path, steps: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    task = make(label_smoothing=0.0, max_length=60)
    backbone = Seq2SeqText.create(Seq2SeqTextConfig(model=str(writer_folder)), [])
    assert isinstance(backbone, TextGenerator)
    task.bind(backbone)
    head = task.build_head(backbone)
    assert not list(head.parameters())
    losses = steps.train(task, backbone, head, steps.prepare(task, backbone, ROWS), 400, 5e-3)
    assert losses[-1] < 0.2 * losses[0]
    backbone.eval()
    predictions = steps.predict(task, backbone, head, ROWS)
    assert predictions == [row["target"] for row in ROWS]

    (tmp_path / "saved").mkdir()
    backbone.save(tmp_path / "saved")
    plain = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "saved").eval()
    batch = backbone.tokenizer(ROWS[1]["source"], return_tensors="pt", return_token_type_ids=False)
    generated = plain.generate(**batch, num_beams=4, max_new_tokens=60, do_sample=False)[0]
    assert backbone.target_text(generated.tolist()) == predictions[1]
    again = Seq2SeqText.load(backbone.config, tmp_path / "saved").eval()
    other = make(label_smoothing=0.0, max_length=60)
    other.bind(again)
    assert steps.predict(other, again, other.build_head(again), ROWS) == predictions


def test_an_encoder_alone_cannot_write(tiny_encoder: Callable[[str], Path]) -> None:
    with pytest.raises(HeadstockError, match="has no decoder that generates text"):
        Seq2SeqText.create(Seq2SeqTextConfig(model=str(tiny_encoder("bert"))), [])


@pytest.mark.parametrize(
    ("targets", "tokenizer", "said"),
    [
        (["ein Hund lief", "hallo"], "13a", ""),
        (["今天天气很好我们去公园散步吧"], "zh", "they are Chinese"),
        (["今天 天气 很 好"], "zh", "they are Chinese"),
        (["我们用 Python 写了一个程序 called headstock"], "zh", "partly Chinese"),
        (["今日はいい天気ですね"], "char", "sacrebleu[ja]"),
        (["오늘은 날씨가 좋네요"], "char", "sacrebleu[ko]"),
        (["วันนี้อากาศดี"], "char", "no spaces between words"),
        (["วันนี้อากาศดี", "今天天气很好"], "char", "they mix Chinese and other scripts"),
        ([], "13a", ""),
    ],
)
def test_the_tokenizer_of_bleu_follows_the_script(
    targets: list[str], tokenizer: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizers, "find_spec", lambda name: None)
    with noting() as found:
        assert tokenizers.bleu_tokenizer(targets) == tokenizer
    assert len(found) == bool(said)
    assert all(said in line for line in found)


def test_mecab_is_taken_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizers, "find_spec", lambda name: object())
    assert tokenizers.bleu_tokenizer(["今日はいい天気ですね"]) == "ja-mecab"
    assert tokenizers.bleu_tokenizer(["오늘은 날씨가 좋네요"]) == "ko-mecab"


@pytest.mark.parametrize(
    ("right", "found", "bleu"),
    [
        # all that is there is right, and 4 of 7 characters are there: exp(1 - 7/4)
        ("我爱北京天安门", "我爱北京", math.exp(-3 / 4)),
        # 10 of 11 characters, 8 of 10 pairs, 6 of 9 triples, 4 of 8 fours
        ("今天天气很好我们去公园", "今天天气真好我们去公园", (10 / 11 * 8 / 10 * 6 / 9 * 4 / 8) ** 0.25),
        # a Latin word is one word among the characters: 5 words in place of 6
        ("我们用Python写程序", "我们用Python写", math.exp(1 - 7 / 5)),
        # full-width punctuation is a word of its own
        ("你好，世界。", "你好，世界", math.exp(1 - 6 / 5)),
        # Japanese without MeCab and Thai are cut into characters
        ("今日はいい天気です", "今日はいい天気", math.exp(1 - 9 / 7)),
        ("วันนี้", "วันนี", math.exp(1 - 6 / 5)),
    ],
)
def test_bleu_without_spaces_has_the_right_value(
    right: str, found: str, bleu: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizers, "find_spec", lambda name: None)
    task = make()
    task.learn([right])
    assert task.score([found], [right])["bleu"] == pytest.approx(100 * bleu)


def test_bleu_of_chinese_is_that_of_its_characters_and_kept() -> None:
    right = ["今天天气很好我们去公园散步吧"]
    task = make()
    task.learn(right)
    found = ["今天天气真好我们去公园散步吧"]
    assert 70 < task.score(found, right)["bleu"] < 85
    again = make()
    again.restore(task.state())
    assert again.score(found, right) == task.score(found, right)
    assert make(bleu_tokenizer="13a").score(found, right)["bleu"] == 0.0
    before_it_was_kept = {"subwords": task.state()["subwords"]}
    again.restore(before_it_was_kept)
    assert again.bleu_tokenizer == "13a"
