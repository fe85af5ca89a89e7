from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from headstock.interfaces import BadExampleError, Batch, DataError, Features, NoTargetError
from headstock.interfaces.notes import noting
from headstock_speech.backbones.crnn import Crnn
from headstock_speech.tasks.speech_recognition import SpeechRecognition
from headstock_speech.tasks.transcripts import Alphabet


def make(transcripts: tuple[str, ...] = ("ab", "ba c"), **options: object) -> SpeechRecognition:
    task = SpeechRecognition(SpeechRecognition.Config(**options))
    task.learn([task.reference({"text": text}) for text in transcripts])
    return task


def batch_of(*targets: list[int]) -> Batch:
    task = make()
    collated = task.collate([{"characters": torch.tensor(target)} for target in targets])
    return Batch({}, collated, len(targets))


def test_inputs_pass_audio_values_on() -> None:
    task = make()
    for value in ("a.wav", b"RIFF", {"path": "a.wav", "bytes": None}, {"array": np.zeros(3), "sampling_rate": 8000}):
        assert task.inputs({"audio": value})["audio"] is value
    for value in (None, 3, {"path": None, "bytes": None}):
        with pytest.raises(BadExampleError, match="column 'audio' holds"):
            task.inputs({"audio": value})


def test_references_are_transcripts_as_they_are_learnt() -> None:
    assert make().reference({"text": " Ab  C "}) == "Ab C"
    assert make().canonical("Ab C") == "ab c"
    assert make(case="keep").canonical("Ab C") == "Ab C"
    assert make(case="upper").canonical("Ab") == "AB"
    assert make(remove_punctuation=True).canonical("Ab, c!") == "ab c"
    assert make(remove_punctuation=True).canonical("?!") == ""
    for text, message in ((None, "NoneType"), (7, "int")):
        with pytest.raises(BadExampleError, match=message):
            make().reference({"text": text})


def test_state_gives_the_same_alphabet_back() -> None:
    task, other = make(), make(("zzz",))
    other.restore(task.state())
    example = {"frames": torch.tensor(9)}
    assert torch.equal(other.encode("ab c", example)["characters"], task.encode("ab c", example)["characters"])


def test_targets_need_frames() -> None:
    task = make(("aab",))
    assert task.encode("ab", {"frames": torch.tensor(2)})["characters"].tolist() == [1, 2]
    assert task.encode("aab", {"frames": torch.tensor(4)})["characters"].tolist() == [1, 1, 2]
    with pytest.raises(NoTargetError, match="too short for 'aab': 3 frames, 4 are needed"):
        task.encode("aab", {"frames": torch.tensor(3)})
    with pytest.raises(DataError, match="'frames'"):
        task.encode("ab", {})
    with pytest.raises(NoTargetError, match="character 'x'"):
        task.encode("abx", {"frames": torch.tensor(9)})
    with pytest.raises(NoTargetError, match="the transcript is empty"):
        task.encode("", {"frames": torch.tensor(9)})


def test_words_on_silence_and_unknown_letters_are_errors() -> None:
    figures = make().score(["ab", "ab", ""], ["", "ab é", ""])
    assert figures["wer"] == pytest.approx(2 / 2)  # one inserted, one missing, of two words in all
    assert figures["cer"] == pytest.approx(4 / 4)
    assert figures["exact_match"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("transcripts", "metric"),
    [
        (("今天天气很好", "我们去公园散步吧"), "cer"),
        (("今天 天气 很 好",), "wer"),
        (("ทุกคนมีสิทธิ์",), "cer"),
        (("안녕 하세요",), "wer"),
        (("one", "two"), "wer"),
    ],
)
def test_the_deciding_metric_follows_the_script(transcripts: tuple[str, ...], metric: str) -> None:
    with noting() as found:
        task = make(transcripts)
    assert task.deciding_metric == metric
    assert len(found) == (metric == "cer")
    other = make(("ab",))
    other.restore(task.state())
    assert other.deciding_metric == metric


def test_loss_is_the_likelihood_of_all_paths_by_character() -> None:
    task = make(("ab",))
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 3, requires_grad=True)
    batch, lengths = batch_of([1, 2], [2]), torch.tensor([4, 2])
    loss = task.loss({"logits": logits, "lengths": lengths}, batch)
    probabilities = logits.softmax(dim=2)
    alphabet = Alphabet(task.state()["alphabet"])
    expected = 0.0
    for row, text in enumerate(("ab", "b")):
        paths = itertools.product(range(3), repeat=int(lengths[row]))
        probability = sum(
            math.prod(probabilities[row, place, number].item() for place, number in enumerate(path))
            for path in paths
            if alphabet.decode(list(path)) == text
        )
        expected -= math.log(probability) / len(text)
    assert loss.total.item() == pytest.approx(expected, rel=1e-4)
    assert loss.count.item() == 2
    loss.total.backward()
    assert not logits.grad[1, 2:].any()


def test_loss_does_not_depend_on_how_examples_are_batched() -> None:
    task = make(("ab",))
    logits, lengths = torch.randn(2, 6, 3), torch.tensor([6, 3])
    whole = task.loss({"logits": logits, "lengths": lengths}, batch_of([1, 1, 2], [2]))
    first = task.loss({"logits": logits[:1], "lengths": lengths[:1]}, batch_of([1, 1, 2]))
    second = task.loss({"logits": logits[1:, :3], "lengths": lengths[1:]}, batch_of([2]))
    assert (first.total + second.total).item() == pytest.approx(whole.total.item(), rel=1e-5)


def test_head_and_decoding() -> None:
    task = make(("abc",), dropout=0.0)
    head = task.build_head(SimpleNamespace(feature_dim=4))
    mask = torch.tensor([[True, True, True, True], [True, True, False, False]])
    outputs = task.forward(head, Features(torch.randn(2, 4, 4), mask, torch.randn(2, 4)), Batch({}, {}, 2))
    assert outputs["logits"].shape == (2, 4, 4)
    assert outputs["lengths"].tolist() == [4, 2]
    best = torch.tensor([[1, 1, 0, 2], [3, 0, 2, 2]])
    outputs["logits"] = torch.nn.functional.one_hot(best, 4).float()
    assert task.decode(outputs, Batch({}, {}, 2)) == ["ab", "c"]


def test_scores() -> None:
    task = make()
    scores = task.score(["ab c", "", "x"], ["ab c", "ab", "x y"])
    assert list(scores) == [metric.name for metric in task.metrics]
    assert scores["wer"] == pytest.approx(2 / 5)
    assert scores["cer"] == pytest.approx(4 / 9)
    assert scores["exact_match"] == pytest.approx(1 / 3)
    assert task.score(["", ""], ["a", "b c"])["wer"] == 1.0
    assert task.score(["a"], ["a"]) == {"wer": 0.0, "cer": 0.0, "exact_match": 1.0}


def test_wire_form() -> None:
    assert make().to_pipeline("ab c", {}) == {"text": "ab c"}


def test_the_sample_is_the_same_every_time_and_every_letter_is_in_training() -> None:
    task = make()
    splits, again = task.sample(), task.sample()
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 300, "validation": 40, "test": 60}
    assert np.array_equal(splits["test"][7]["audio"]["array"], again["test"][7]["audio"]["array"])
    backbone = Crnn.create(Crnn.Config(), [])
    task.learn([task.reference(row) for row in splits["train"]])
    seconds = 0.0
    for rows in splits.values():
        for row in rows:
            example = backbone.preprocess(task.inputs(row))
            task.encode(task.reference(row), example)
            seconds = max(seconds, backbone.cost(example) / 1000)
    assert seconds < 3


def test_a_few_recordings_can_be_learnt_by_heart(sounds: SimpleNamespace) -> None:
    torch.manual_seed(0)
    task = make(("ab", "c"))
    backbone = Crnn.create(Crnn.Config(channels=4, hidden_size=16, dropout=0, time_masks=0, frequency_masks=0), [])
    head = task.build_head(backbone)
    texts = ("ab", "c", "ba", "a")
    examples = [backbone.preprocess(sounds.clip(0.3, pitch=200 * (n + 1), seed=n)) for n in range(len(texts))]
    targets = [task.encode(text, example) for text, example in zip(texts, examples, strict=True)]
    batch = Batch(backbone.collate(examples), task.collate(targets), len(texts))
    optimizer = torch.optim.AdamW([*backbone.parameters(), *head.parameters()], lr=1e-2)
    for _ in range(60):
        outputs = task.forward(head, backbone(batch.inputs), batch)
        optimizer.zero_grad()
        task.loss(outputs, batch).total.backward()
        optimizer.step()
    assert tuple(task.decode(outputs, batch)) == texts
