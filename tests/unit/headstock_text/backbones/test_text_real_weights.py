from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from headstock_text.backbones.transformer import TransformerText, TransformerTextConfig
from headstock_text.tasks.text_classification import TextClassification, TextClassificationConfig


@pytest.fixture(scope="module")
def minilm(shared_data: Path) -> TransformerText:
    folder = shared_data / "weights" / "all-minilm-l6-v2-fp16"
    if not folder.is_dir():
        pytest.skip("needs the weights all-minilm-l6-v2-fp16 in ../shared/data")
    return TransformerText.create(TransformerTextConfig(model=str(folder)), [])


@torch.no_grad()
def test_sentences_of_like_meaning_are_near(minilm: TransformerText) -> None:
    texts = ["A man is eating food.", "Someone has a meal.", "The stock market crashed today."]
    pooled = minilm(minilm.collate([minilm.preprocess({"text": text}) for text in texts])).pooled
    like, unlike = (torch.cosine_similarity(pooled[0], pooled[i], dim=0).item() for i in (1, 2))

    assert like > 0.5
    assert unlike < 0.2


def test_text_longer_than_the_stored_tokenizer_setting(minilm: TransformerText) -> None:
    # The stored tokenizer cuts at 64 tokens by itself.
    assert len(minilm.preprocess({"text": "word " * 1000})["input_ids"]) == 256
    assert len(minilm.preprocess({"words": ["word"] * 1000})["word_starts"]) == 254


def test_tuning_a_little_lowers_the_loss(minilm: TransformerText, steps: Any) -> None:
    torch.manual_seed(0)
    rows = [
        {"text": "a warm and funny film", "label": "good"},
        {"text": "I loved every minute", "label": "good"},
        {"text": "dull, long and badly played", "label": "bad"},
        {"text": "a waste of time", "label": "bad"},
    ]
    task = TextClassification(TextClassificationConfig())
    task.learn([row["label"] for row in rows])
    head = task.build_head(minilm)
    losses = steps.train(task, minilm, head, steps.prepare(task, minilm, rows), 12, 5e-4)

    assert losses[-1] < 0.5 * losses[0]
    predictions = steps.predict(task, minilm, head, [{"text": "funny and warm"}, {"text": "boring and long"}])
    assert [prediction[0]["label"] for prediction in predictions] == ["good", "bad"]
