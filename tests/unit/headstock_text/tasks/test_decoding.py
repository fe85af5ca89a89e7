from __future__ import annotations

import itertools

import torch

from headstock_text.iob2 import to_iob2
from headstock_text.tasks.decoding import best_paths

LABELS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")


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
