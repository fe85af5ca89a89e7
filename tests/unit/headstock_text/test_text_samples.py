from __future__ import annotations

import sys
import time
from collections import Counter
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from headstock_text.iob2 import entities, to_iob2
from headstock_text.samples import chinese_names, library_docs, shop_messages, towns_and_people
from headstock_text.tasks.text_classification import TextClassification, TextClassificationConfig
from headstock_text.tasks.token_classification import TokenClassification, TokenClassificationConfig


def test_documentation_is_read_without_importing_it() -> None:
    before = set(sys.modules)
    library_docs.splits.cache_clear()
    start = time.perf_counter()
    splits = TextClassification(TextClassificationConfig()).sample()

    assert time.perf_counter() - start < 20
    assert set(sys.modules) == before
    assert list(splits) == ["train", "validation", "test"]
    assert len(splits["train"]) >= 800
    assert min(len(splits["validation"]), len(splits["test"])) >= 120
    for rows in splits.values():
        counts = Counter(row["label"] for row in rows)
        assert set(counts) == set(library_docs.FIELDS)
        assert max(counts.values()) < 0.3 * len(rows)


def test_no_text_is_in_two_splits_or_has_two_labels() -> None:
    texts = [row["text"] for rows in library_docs.splits().values() for row in rows]

    assert len(texts) == len(set(texts))
    assert all(5 <= len(text.split()) <= 40 for text in texts)


def test_sentences_are_tagged_well() -> None:
    splits = TokenClassification(TokenClassificationConfig()).sample()

    assert {name: len(rows) for name, rows in splits.items()} == {"train": 800, "validation": 150, "test": 150}
    for rows in splits.values():
        types = Counter(entity.type for row in rows for entity in entities(row["tags"]))
        assert set(types) == {"PER", "LOC", "ORG", "DATE"}
        assert min(types.values()) > 0.05 * types.total()
        for row in rows:
            assert len(row["words"]) == len(row["tags"])
            assert to_iob2(row["tags"]) == row["tags"]
            assert row["words"][-1] == "."
            assert row["words"][0][0] == row["words"][0][0].upper()


def test_names_of_one_split_occur_in_no_other_and_mean_several_things() -> None:
    names = set(towns_and_people.NAMES.split() + towns_and_people.FIRST_NAMES.split())
    seen: dict[str, set[str]] = {}
    meanings: dict[str, set[str]] = {}
    for split, rows in towns_and_people.splits().items():
        for row in rows:
            for word, tag in zip(row["words"], row["tags"], strict=True):
                if word in names:
                    assert tag != "O"
                    seen.setdefault(split, set()).add(word)
                    meanings.setdefault(word, set()).add(tag[2:])

    assert not seen["train"] & (seen["validation"] | seen["test"])
    assert not seen["validation"] & seen["test"]
    towns = [meanings[name] for name in towns_and_people.NAMES.split()]
    assert sum(len(kinds) == 3 for kinds in towns) > 0.7 * len(towns)


@pytest.mark.parametrize("sample", [towns_and_people, chinese_names, shop_messages])
def test_made_samples_are_always_the_same(sample: Any) -> None:
    first = sample.splits()
    sample.splits.cache_clear()
    torch.manual_seed(9)

    assert sample.splits() == first


def test_messages_are_labelled_by_what_is_asked_and_not_by_a_word() -> None:
    splits = TextClassification(TextClassificationConfig(sample="zh")).sample()

    assert {name: len(rows) for name, rows in splits.items()} == shop_messages.SIZES
    texts = [row["text"] for rows in splits.values() for row in rows]
    assert len(texts) == len(set(texts))
    for rows in splits.values():
        counts = Counter(row["label"] for row in rows)
        assert set(counts) == set(shop_messages.WISHES)
        assert min(counts.values()) > 0.1 * len(rows)
    for word in ("发票", "快递", "退", "颜色"):
        assert len({row["label"] for row in splits["train"] if word in row["text"]}) == len(shop_messages.WISHES)
    goods = {
        name: {each for each in shop_messages.GOODS.split() for row in rows if each in row["text"]}
        for name, rows in splits.items()
    }
    assert len(goods["test"] - goods["train"]) >= 6


def test_chinese_sentences_are_tagged_by_character() -> None:
    splits = TokenClassification(TokenClassificationConfig(sample="zh")).sample()

    names = set(chinese_names.NAMES.split())
    seen: dict[str, set[str]] = {}
    meanings: dict[str, set[str]] = {}
    for split, rows in splits.items():
        assert len(rows) == chinese_names.SIZES[split]
        types = Counter(entity.type for row in rows for entity in entities(row["tags"]))
        assert set(types) == {"PER", "LOC", "ORG", "DATE"}
        assert min(types.values()) > 0.05 * types.total()
        for row in rows:
            assert all(len(word) == 1 for word in row["words"])
            assert to_iob2(row["tags"]) == row["tags"]
            assert row["words"][-1] == "。"
            for entity in entities(row["tags"]):
                if entity.type != "DATE":
                    text = "".join(row["words"][entity.start : entity.end])
                    (name,) = [text[start : start + 2] for start in (0, 1) if text[start : start + 2] in names]
                    seen.setdefault(split, set()).add(name)
                    meanings.setdefault(name, set()).add(entity.type)

    assert not seen["train"] & (seen["validation"] | seen["test"])
    assert not seen["validation"] & seen["test"]
    assert sum(len(kinds) == 3 for kinds in meanings.values()) > 0.8 * len(names)


def test_a_sample_in_another_language_is_refused() -> None:
    with pytest.raises(ValidationError, match="'en' or 'zh'"):
        TextClassificationConfig(sample="fr")
