from __future__ import annotations

import itertools

import pytest
import torch

from headstock.interfaces import BadExampleError
from headstock_text.tasks.decoding import best_paths
from headstock_text.tasks.tags import Entity, entities, entity_types, to_iob2

LABELS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")


@pytest.mark.parametrize(
    ("scheme", "tags", "iob2"),
    [
        ("IOB2", "O B-PER I-PER B-PER O", "O B-PER I-PER B-PER O"),
        ("IOB1", "I-PER I-PER B-PER O I-LOC I-PER", "B-PER I-PER B-PER O B-LOC B-PER"),
        ("BIOES", "B-PER I-PER E-PER S-PER S-LOC O", "B-PER I-PER I-PER B-PER B-LOC O"),
        ("BILOU", "B-PER L-PER U-PER U-LOC I-LOC", "B-PER I-PER B-PER B-LOC B-LOC"),
        ("BMES", "B-ORG M-ORG E-ORG M-ORG", "B-ORG I-ORG I-ORG B-ORG"),
        ("types with dashes", "B-a-b I-a-b I-b", "B-a-b I-a-b B-b"),
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
    with pytest.raises(BadExampleError, match=f"^tag '{tag}' is neither O nor"):
        to_iob2(["O", tag])


def test_entities_and_types() -> None:
    tags = ["B-PER", "I-PER", "B-PER", "O", "B-LOC"]

    assert entities(tags) == [Entity("PER", 0, 2), Entity("PER", 2, 3), Entity("LOC", 4, 5)]
    assert entities([]) == entities(["O"]) == []
    assert entity_types(tags) == ["LOC", "PER"]


def test_best_paths_are_the_most_probable_ones_that_are_allowed() -> None:
    torch.manual_seed(0)
    scores = (2 * torch.randn(20, 4, len(LABELS))).log_softmax(dim=-1)
    found = best_paths(scores, LABELS)

    def allowed(path: tuple[int, ...]) -> bool:
        tags = [LABELS[number] for number in path]
        return to_iob2(tags) == tags

    paths = [path for path in itertools.product(range(len(LABELS)), repeat=4) if allowed(path)]
    for example, path in zip(scores, found.tolist(), strict=True):
        best = max(paths, key=lambda candidate: sum(example[i, n].item() for i, n in enumerate(candidate)))
        assert tuple(path) == best


def test_padding_after_an_example_changes_nothing() -> None:
    torch.manual_seed(1)
    scores = torch.randn(8, 5, len(LABELS)).log_softmax(dim=-1)
    padded = torch.cat((scores, torch.zeros(8, 3, len(LABELS))), dim=1)

    assert torch.equal(best_paths(padded, LABELS)[:, :5], best_paths(scores, LABELS))
