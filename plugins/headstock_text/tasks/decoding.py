"""Decoding of IOB2 tags under the scheme's own rules."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

FORBIDDEN = -1e4
"""Added to the score of a step that IOB2 does not allow; far below any log-probability, yet finite."""


def transitions(labels: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return what IOB2 adds to the score of a first label (L,) and of a label after another (L, L): 0 or forbidden.

    ``I-x`` may stand only after ``B-x`` or ``I-x``.
    """
    first = torch.tensor([FORBIDDEN if label.startswith("I-") else 0.0 for label in labels])
    steps = [
        [FORBIDDEN if label.startswith("I-") and before[1:] != label[1:] else 0.0 for label in labels]
        for before in labels
    ]
    return first, torch.tensor(steps)


def best_paths(scores: Tensor, labels: Sequence[str]) -> Tensor:
    """Return for each word the number of its label on the best path that IOB2 allows (Viterbi).

    Args:
        scores: Log-probabilities (B, W, L). Words that are only padding may follow; they change nothing before them
            as long as their scores are all equal.
        labels: The L labels.
    """
    first, steps = transitions(labels)
    best = scores[:, 0] + first
    origins = []
    for word in range(1, scores.shape[1]):
        best, origin = (best.unsqueeze(2) + steps).max(dim=1)
        best = best + scores[:, word]
        origins.append(origin)
    path = [best.argmax(dim=1)]
    for origin in reversed(origins):
        path.append(origin.gather(1, path[-1].unsqueeze(1)).squeeze(1))
    return torch.stack(path[::-1], dim=1)
