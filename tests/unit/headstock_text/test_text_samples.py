from __future__ import annotations

import sys
import time
from collections import Counter

from headstock_text.iob2 import entities, to_iob2
from headstock_text.samples import library_docs, towns_and_people
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


def test_sentences_are_always_the_same() -> None:
    first = towns_and_people.splits()
    towns_and_people.splits.cache_clear()

    assert towns_and_people.splits() == first
