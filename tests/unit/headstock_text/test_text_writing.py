"""Conversion of Chinese and of widths: the backbone reads other characters, positions stay those of the data."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
from pydantic import ValidationError

from headstock import HeadstockError
from headstock_text.tasks.text_classification import TextClassification, TextClassificationConfig
from headstock_text.tasks.token_classification import TokenClassification, TokenClassificationConfig
from headstock_text.tasks.translation import Translation, TranslationConfig
from headstock_text.writing import Writing, WritingConfig


def writing(**options: Any) -> Writing:
    return Writing(WritingConfig(**options))


@pytest.mark.parametrize(
    ("conversion", "text", "expected"),
    [
        ("t2s", "後來他們發現頭髮乾燥 OK", "后来他们发现头发干燥 OK"),
        ("s2t", "理发店发现干净的干部", "理髮店發現乾淨的幹部"),  # one character has several counterparts
        ("s2twp", "U盘", "隨身碟"),  # two characters become three
        ("tw2sp", "滑鼠", "鼠标"),
        ("none", "後", "後"),
        ("t2s", "\ud800後", "\ufffd后"),  # half of a surrogate pair, which OpenCC cannot read
    ],
)
def test_chinese_is_converted(conversion: str, text: str, expected: str) -> None:
    assert writing(opencc=conversion).text(text) == expected


def test_words_keep_their_number_and_see_their_context() -> None:
    assert writing(opencc="s2t").words([*"理发店发现"]) == [*"理髮店發現"]
    assert writing(opencc="s2t").words(["理发", "A1", "发现"]) == ["理髮", "A1", "發現"]
    assert writing(opencc="s2twp").words([*"U盘好"]) == ["U", "盤", "好"]
    assert writing(opencc="s2twp").words(["U盘", "好"]) == ["隨身碟", "好"]
    assert writing(opencc="t2s").words(["後\ud83d\ude00", "後"]) == ["后😀", "后"]  # two halves that make one character


def test_widths() -> None:
    half = writing(half_width=True)
    assert half.text("ＡＢｃ１２，ｶﾞｷ　好㎏") == "ABc12,ガキ 好㎏"
    assert half.words(["Ａ１", "ｶﾞ", "好"]) == ["A1", "ガ", "好"]
    assert writing().text("Ａ") == "Ａ"
    assert not writing().changes


def test_every_text_task_gives_the_backbone_what_is_rewritten() -> None:
    classes: Any = TextClassification(TextClassificationConfig(opencc="t2s", half_width=True))
    assert classes.inputs({"text": "後Ａ", "text_pair": "髮"}) == {"text": "后A", "text_pair": "发"}
    sentences: Any = Translation(TranslationConfig(opencc="t2s"))
    assert sentences.inputs({"source": "後", "target": "after"}) == {"text": "后"}
    assert sentences.reference({"source": "後", "target": "後"}) == "後"


def test_entities_stand_where_the_original_text_has_them() -> None:
    task = TokenClassification(TokenClassificationConfig(opencc="s2twp", half_width=True))
    row = {"words": "买Ｕ盘　在 上海２０"}
    words = task.inputs(row)["words"]
    assert words == ["買", "U", "盤", "在", "上", "海", "20"]
    tags = ["O", "O", "O", "O", "B-LOC", "I-LOC", "O"]
    (found,) = task.to_pipeline({"tags": tags, "scores": [1.0] * 7}, row)
    assert (found["word"], found["start"], found["end"]) == ("上海", 6, 8)
    assert row["words"][found["start"] : found["end"]] == "上海"


@pytest.mark.parametrize("task", [TextClassification, TokenClassification, Translation])
def test_what_is_not_installed_or_unknown_is_one_line(task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match="t2s"):
        task.Config(opencc="t2x")
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "headstock_text.writing.find_spec", lambda name, *more: None if name == "opencc" else find(name, *more)
    )
    task(task.Config())
    with pytest.raises(HeadstockError, match=r"^task.opencc=t2s needs .*headstock\[chinese\]"):
        task(task.Config(opencc="t2s"))
