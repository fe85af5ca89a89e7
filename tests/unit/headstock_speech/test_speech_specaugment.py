from __future__ import annotations

import torch

from headstock_speech.backbones.specaugment import spec_augment

FRAMES = torch.tensor([50, 20, 50])


def blanked(**options: float) -> torch.Tensor:
    settings = {"bands": 0, "band_share": 0.2, "stretches": 0, "stretch_share": 0.2} | options
    return spec_augment(torch.ones(3, 50, 40), FRAMES, **settings) == 0


def longest_run(row: torch.Tensor) -> int:
    return max((len(run) for run in "".join("x" if value else " " for value in row.tolist()).split()), default=0)


def test_nothing_asked_nothing_done() -> None:
    assert not blanked().any()


def test_bands_are_blanked_over_all_time() -> None:
    torch.manual_seed(0)
    widths = set()
    for _ in range(50):
        mask = blanked(bands=1)
        assert torch.equal(mask.any(dim=1), mask.all(dim=1))
        widths |= {longest_run(row) for row in mask.any(dim=1)}
        assert (mask[:, 0].sum(dim=1) == torch.tensor([longest_run(row) for row in mask[:, 0]])).all()
    assert widths == set(range(9))


def test_stretches_lie_within_an_example_and_follow_its_length() -> None:
    torch.manual_seed(0)
    widths: dict[int, set[int]] = {0: set(), 1: set()}
    reached = torch.zeros(3, 50, dtype=torch.bool)
    for _ in range(200):
        mask = blanked(stretches=1).all(dim=2)
        reached |= mask
        for row, seen in widths.items():
            seen.add(longest_run(mask[row]))
    assert widths == {0: set(range(11)), 1: set(range(5))}
    assert not reached[1, 20:].any()
    assert reached[0].all()
    assert reached[1, :20].all()


def test_examples_differ_and_the_generator_decides() -> None:
    torch.manual_seed(5)
    first = blanked(bands=2, stretches=2)
    torch.manual_seed(5)
    assert torch.equal(first, blanked(bands=2, stretches=2))
    assert not torch.equal(first[0], first[2])
