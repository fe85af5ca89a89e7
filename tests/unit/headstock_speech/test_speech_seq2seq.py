"""Whisper, Moonshine and Speech2Text with their decoders, tiny and with random weights."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForSpeechSeq2Seq,
    MoonshineConfig,
    MoonshineForConditionalGeneration,
    PreTrainedTokenizerFast,
    Speech2TextConfig,
    Speech2TextFeatureExtractor,
    Speech2TextForConditionalGeneration,
    Wav2Vec2FeatureExtractor,
)

from headstock import HeadstockError
from headstock.interfaces import Batch, UntrainableError
from headstock.interfaces.notes import noting
from headstock_speech.backbones.seq2seq.backbone import SpeechSeq2Seq
from headstock_speech.tasks.speech_recognition import SpeechRecognition

KINDS = ("whisper", "moonshine", "speech_to_text")
SIZES = {"decoder_start_token_id": 1, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, tiny_whisper: Path) -> dict[str, Path]:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    root = tmp_path_factory.mktemp("speech-seq2seq")
    words = ["<pad>", "<s>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({word: number for number, word in enumerate(words)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    torch.manual_seed(0)
    moonshine = MoonshineConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=24,
        **{f"{side}_num_hidden_layers": 1 for side in ("encoder", "decoder")},
        **{f"{side}_num_attention_heads": 2 for side in ("encoder", "decoder")},
        max_position_embeddings=40,
        initializer_range=0.4,
        **SIZES,
    )
    MoonshineForConditionalGeneration(moonshine).save_pretrained(root / "moonshine")
    Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(root / "moonshine")
    text = Speech2TextConfig(
        vocab_size=len(words),
        d_model=16,
        **{f"{side}_layers": 1 for side in ("encoder", "decoder")},
        **{f"{side}_attention_heads": 2 for side in ("encoder", "decoder")},
        **{f"{side}_ffn_dim": 24 for side in ("encoder", "decoder")},
        conv_channels=32,
        input_feat_per_channel=20,
        max_source_positions=400,
        max_target_positions=40,
        init_std=0.4,
        **SIZES,
    )
    Speech2TextForConditionalGeneration(text).save_pretrained(root / "speech_to_text")
    Speech2TextFeatureExtractor(feature_size=20, num_mel_bins=20).save_pretrained(root / "speech_to_text")
    for name in ("moonshine", "speech_to_text"):
        fast.save_pretrained(root / name)
    return {"whisper": tiny_whisper, **{name: root / name for name in ("moonshine", "speech_to_text")}}


def load(folder: Path, **options: object) -> SpeechSeq2Seq:
    language = {"language": "en"} if "whisper" in folder.name else {}
    config = SpeechSeq2Seq.Config(model=str(folder), **{**language, **options})
    return SpeechSeq2Seq.create(config, []).eval()


def written(backbone: SpeechSeq2Seq, *clips: dict[str, Any]) -> list[list[str]]:
    batch = backbone.collate([backbone.preprocess(each) for each in clips])
    with torch.no_grad():
        tokens = backbone.generate(backbone(batch), batch)
    return [[backbone.target_text(ids) for ids in row] for row in tokens.tolist()]


def bound(backbone: SpeechSeq2Seq, texts: tuple[str, ...] = ("One.", "two"), **options: object) -> SpeechRecognition:
    task = SpeechRecognition(SpeechRecognition.Config(**options))
    task.learn(list(texts))
    task.bind(backbone)
    return task


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("beams", [1, 3])
def test_neighbours_change_nothing(folders: dict[str, Path], kind: str, beams: int, sounds: SimpleNamespace) -> None:
    backbone = load(folders[kind], beams=beams, silence_seconds=0.5)
    sounds.assert_independent(backbone, 1.0, 2.3, 1.0, 0.4)
    clips = [sounds.clip(seconds, pitch=200.0 * n, seed=n) for n, seconds in enumerate((1.0, 2.3, 0.4), 1)]
    together = written(backbone, *clips)
    assert together == [written(backbone, each)[0] for each in clips]
    assert len({text for row in together for text in row}) > 1  # it hears something


@pytest.mark.parametrize("kind", KINDS)
def test_it_writes_what_transformers_writes(folders: dict[str, Path], kind: str, sounds: SimpleNamespace) -> None:
    model = AutoModelForSpeechSeq2Seq.from_pretrained(folders[kind]).eval()
    backbone = load(folders[kind], silence_seconds=30)
    clips = [sounds.clip(seconds, pitch=300.0 * n, seed=n) for n, seconds in enumerate((1.0, 2.5, 0.7), 1)]
    found = written(backbone, *clips)
    extractor = backbone.family.extractor
    for clip, text in zip(clips, found, strict=True):
        inputs = extractor(clip["audio"]["array"], sampling_rate=16000, return_tensors="pt")
        options = {"language": "en"} if kind == "whisper" else {"max_new_tokens": backbone.max_target_tokens}
        expected = model.generate(**inputs, **options)
        assert text == [backbone.target_text(expected[0].tolist())]


@pytest.mark.parametrize("kind", KINDS)
def test_teacher_forcing_gives_the_likelihood_of_what_is_written(
    folders: dict[str, Path], kind: str, sounds: SimpleNamespace
) -> None:
    backbone = load(folders[kind])
    inputs = backbone.collate([backbone.preprocess(sounds.clip(1.0))])
    with torch.no_grad():
        features = backbone(inputs)
        ids = backbone.generate(features, inputs)[0, 0][:6]
        logits = backbone.teacher_forcing(ids.unsqueeze(0), features)[0]
    suppressed = backbone.model.generation_config.suppress_tokens or []
    logits[:, suppressed] = -torch.inf
    assert logits[1:].argmax(dim=1).tolist() == ids[1:].tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_saved_comes_back(folders: dict[str, Path], kind: str, sounds: SimpleNamespace, tmp_path: Path) -> None:
    backbone = load(folders[kind], max_tokens=9)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    backbone.save(tmp_path)
    again = SpeechSeq2Seq.load(backbone.config, tmp_path).eval()
    assert written(again, sounds.clip(1.1)) == written(backbone, sounds.clip(1.1))
    AutoModelForSpeechSeq2Seq.from_pretrained(tmp_path)


def test_long_recordings_are_written_window_by_window(folders: dict[str, Path], sounds: SimpleNamespace) -> None:
    backbone = load(folders["whisper"])
    pieces = [sounds.tone(seconds, pitch=pitch) for seconds, pitch in ((3.0, 200), (2.8, 500), (3.2, 900))]
    quiet = np.zeros(4800, np.float32)
    whole = np.concatenate([pieces[0], quiet, pieces[1], quiet, pieces[2]])
    example = backbone.preprocess({"audio": {"array": whole, "sampling_rate": 16000}})
    lengths = example["windows"].tolist()
    assert [length / 16000 for length in lengths] == pytest.approx([3.15, 3.1, 3.35], abs=0.12)
    starts = np.cumsum([0, *lengths])
    alone = [
        written(backbone, {"audio": {"array": whole[start : start + length], "sampling_rate": 16000}})[0][0]
        for start, length in zip(starts, lengths, strict=False)
    ]
    long = {"audio": {"array": whole, "sampling_rate": 16000}}
    assert written(backbone, sounds.clip(1.0), long)[1] == alone
    assert len(set(alone)) > 1
    task = bound(backbone)
    inputs = backbone.collate([backbone.preprocess(sounds.clip(1.0)), example])
    with torch.no_grad():
        features = backbone(inputs)
        head = task.build_head(backbone).eval()
        outputs = task.forward(head, features, Batch(inputs, {}, 2))
    assert task.decode(outputs, Batch(inputs, {}, 2))[1] == " ".join(text for text in alone if text)
    with pytest.raises(UntrainableError, match="longer than the model hears"):
        task.encode("One.", example)


def test_cost_is_what_the_model_hears(folders: dict[str, Path], sounds: SimpleNamespace) -> None:
    def costs(kind: str, **options: object) -> list[int]:
        backbone = load(folders[kind], **options)
        return [backbone.cost(backbone.preprocess(sounds.clip(seconds))) for seconds in (1.0, 2.0, 6.0)]

    assert costs("whisper") == [4000, 4000, 8000]
    assert costs("whisper", silence_seconds=0.5)[:2] == [1500, 2500]
    assert costs("moonshine") == pytest.approx([1000, 2000, 6000], rel=0.05)


def test_targets_begin_words_with_a_space_and_end_with_a_mark(folders: dict[str, Path]) -> None:
    backbone = load(folders["whisper"])
    ids = backbone.target_ids("ab")
    assert backbone.tokenizer.decode(ids) == " ab<|endoftext|>"
    assert backbone.tokenizer.decode(backbone.target_ids("你")) == "你<|endoftext|>"
    assert backbone.target_text(ids) == "ab"
    task = bound(load(folders["whisper"], max_tokens=4))
    with noting() as found:
        tokens = task.encode("abcdef", {"windows": torch.tensor([16000])})["tokens"]
    assert tokens.tolist() == [*backbone.target_ids("abcdef")[:3], ids[-1]]
    assert list(found) == ["transcripts cut to 4 tokens"]


def test_the_language_is_chosen_or_detected_and_said(folders: dict[str, Path], sounds: SimpleNamespace) -> None:
    backbone = load(folders["whisper"], language="Mandarin", task="translate")
    tokens = backbone.tokenizer.convert_ids_to_tokens(backbone._prompt.ids())
    assert tokens == ["<|startoftranscript|>", "<|zh|>", "<|translate|>", "<|notimestamps|>"]
    config = SpeechSeq2Seq.Config(model=str(folders["whisper"]))
    assert (backbone.language, backbone.written_language) == ("zh", "en")
    heard = SpeechSeq2Seq.create(config, [sounds.clip(1.0, seed=n) for n in range(3)])
    with noting() as found:
        heard.settle_language(None)
    assert heard.language in ("en", "zh", "de")
    ((what, count),) = found.items()
    assert f"({heard.language})" in what
    assert count == 3
    known = SpeechSeq2Seq.create(config, [sounds.clip(1.0)])
    known.settle_language("de")
    assert known.language == "de"
    with pytest.raises(HeadstockError, match=r"backbone.language.*no language 'martian'; it knows de \(german\), en"):
        load(folders["whisper"], language="martian")
    with pytest.raises(HeadstockError, match="for one language"):
        load(folders["moonshine"], language="en")


def test_a_frozen_encoder_gets_no_gradient_and_the_decoder_does(
    folders: dict[str, Path], sounds: SimpleNamespace
) -> None:
    backbone = load(folders["whisper"], freeze_encoder=True)
    fixed = {id(parameter) for part in backbone.fixed_parts() for parameter in part.parameters()}
    encoder = {id(parameter) for parameter in backbone.model.get_encoder().parameters()}
    assert fixed == encoder
    free = load(folders["whisper"])
    assert free.fixed_parts() == (free.model.get_encoder().embed_positions,)
    features = sounds.features(backbone, sounds.clip(1.0))
    loss = backbone.teacher_forcing(torch.tensor([backbone.target_ids("ab")]), features).sum()
    loss.backward()
    assert all(parameter.grad is not None for parameter in backbone.model.model.decoder.parameters())


def test_a_copy_hears_its_own_mask(folders: dict[str, Path], sounds: SimpleNamespace) -> None:
    backbone = load(folders["whisper"], silence_seconds=0.5)
    clip = sounds.clip(1.5)
    expected = written(backbone, clip)
    other = copy.deepcopy(backbone)
    written(backbone, sounds.clip(0.4))
    assert written(other, clip) == expected


def test_how_transcripts_are_learnt_and_compared_is_settled(folders: dict[str, Path]) -> None:
    def settled(
        texts: tuple[str, ...], language: str = "en", does: str = "transcribe", **options: object
    ) -> tuple[str, str]:
        backbone = load(folders["whisper"], language=language, task=does)
        with noting() as found:
            task = bound(backbone, texts, **options)
        assert any(task.normalisation in what for what in found)
        other = SpeechRecognition(task.config)
        other.restore(task.state())
        other.bind(backbone)
        assert other.state() == task.state()
        return task.canonical("Ab, C"), task.normalisation

    assert settled(("Hello there.",)) == ("Ab, C", "english")
    assert settled(("HELLO THERE",)) == ("ab, c", "english")
    assert settled(("Hallo",), "de") == ("Ab, C", "basic")
    assert settled(("Hello",), "de", "translate") == ("Ab, C", "english")
    assert settled(("नमस्ते",), "de") == ("Ab, C", "none")
    assert settled(("HELLO",), case="keep", normalisation="none") == ("Ab, C", "none")


def test_scores_follow_the_normalisation(folders: dict[str, Path]) -> None:
    task = bound(load(folders["whisper"]))
    assert task.score(["Twenty one, Mr. Brown!"], ["21 mister brown"]) == {"wer": 0.0, "cer": 0.0, "exact_match": 1.0}
    strict = bound(load(folders["whisper"]), normalisation="none")
    assert strict.score(["One."], ["one"])["wer"] == 1.0


def test_what_cannot_be_a_backbone_is_refused(tiny_whisper: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_whisper, tmp_path / "bare")
    (tmp_path / "bare" / "tokenizer.json").unlink()
    with pytest.raises(HeadstockError, match="bare"):
        load(tmp_path / "bare")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(HeadstockError, match="is a model of type bert; speech-seq2seq runs whisper, moonshine"):
        load(tmp_path / "other")
