from __future__ import annotations

import pytest

from headstock_text.iob2 import Entity, entities, entity_types, to_iob2


@pytest.mark.parametrize(
    ("scheme", "tags", "iob2"),
    [
        ("IOB2", "O B-PER I-PER B-PER O", "O B-PER I-PER B-PER O"),
        ("IOB1", "I-PER I-PER B-PER O I-LOC I-PER", "B-PER I-PER B-PER O B-LOC B-PER"),
        ("BIOES", "B-PER I-PER E-PER S-PER S-LOC O", "B-PER I-PER I-PER B-PER B-LOC O"),
        ("BILOU", "B-PER L-PER U-PER U-LOC I-LOC", "B-PER I-PER B-PER B-LOC B-LOC"),
        ("BMES", "B-ORG M-ORG E-ORG M-ORG", "B-ORG I-ORG I-ORG B-ORG"),
        ("types with dashes", "B-a-b I-a-b I-b", "B-a-b I-a-b B-b"),
        ("broken off", "O E-A S-A I-A E-A I-A", "O B-A B-A B-A I-A B-A"),
        ("types with numbers", "I-A-1 I-A-2", "B-A-1 B-A-2"),
        ("nothing", "O O", "O O"),
        ("empty", "", ""),
    ],
)
def test_to_iob2(scheme: str, tags: str, iob2: str) -> None:
    del scheme
    converted = to_iob2(tags.split())

    assert converted == iob2.split()
    assert to_iob2(converted) == converted


@pytest.mark.parametrize("tag", ["PER", "X-PER", "B-", "-PER", "", "o", "B_PER"])
def test_what_is_no_tag_is_named(tag: str) -> None:
    with pytest.raises(ValueError, match=f"^tag '{tag}' is neither O nor"):
        to_iob2(["O", tag])


def test_entities_and_types() -> None:
    tags = ["B-PER", "I-PER", "B-PER", "O", "B-LOC"]

    assert entities(tags) == [Entity("PER", 0, 2), Entity("PER", 2, 3), Entity("LOC", 4, 5)]
    assert entities([]) == entities(["O"]) == []
    assert entity_types(tags) == ["LOC", "PER"]
