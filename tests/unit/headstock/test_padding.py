from __future__ import annotations

import numpy as np
import torch

from headstock.interfaces.values.padding import pad_stack, round_lengths, rounded


def test_round_lengths_recur_and_add_an_eighth_at_most() -> None:
    lengths = np.arange(1, 5000)
    found = rounded(lengths)
    assert (found >= lengths).all()
    assert (found <= lengths * 1.125).all()
    assert (rounded(found) == found).all()
    assert len(set(found.tolist())) < 90
    assert found[:16].tolist() == list(range(1, 17))
    assert rounded(np.array([0, 17, 33, 65, 128, 129])).tolist() == [0, 18, 36, 72, 128, 144]


def test_sequences_alone_are_padded_further() -> None:
    ragged = [torch.ones(17), torch.ones(19)]
    assert pad_stack(ragged, 0.0, sequence=True).shape == (2, 19)
    with round_lengths():
        padded = pad_stack(ragged, 7.0, sequence=True)
        assert padded.shape == (2, 20)
        assert padded[0, 17:].tolist() == [7.0] * 3
        assert pad_stack(ragged, 0.0).shape == (2, 19)
        assert pad_stack(ragged[:1] * 3, 0.0, sequence=True).shape == (3, 18)
        assert pad_stack([torch.ones(17, 3), torch.ones(2, 5)], 0.0, sequence=True).shape == (2, 18, 5)
    assert pad_stack(ragged, 0.0, sequence=True).shape == (2, 19)


def test_no_sequence_is_padded_beyond_what_the_model_takes() -> None:
    with round_lengths():
        assert pad_stack([torch.ones(73), torch.ones(5)], 0.0, sequence=True, longest=77).shape == (2, 77)
        assert pad_stack([torch.ones(80)], 0.0, sequence=True, longest=77).shape == (1, 80)
