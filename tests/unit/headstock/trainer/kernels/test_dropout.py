from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import dropout, scaled_dot_product_attention

from headstock.trainer.kernels.dropout import fast_dropout


def drawn(seed: int, p: float = 0.1, like: Tensor | None = None) -> Tensor:
    torch.manual_seed(seed)
    return dropout(torch.ones(300, 301) if like is None else like, p)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_drops_with_the_probability_asked_for_and_scales_the_rest(p: float, dtype: torch.dtype) -> None:
    with fast_dropout():
        found = drawn(0, p, torch.ones(300, 301, dtype=dtype))
    assert float((found == 0).float().mean()) == pytest.approx(p, abs=0.01)
    assert found.dtype == dtype
    assert float(found.max()) == pytest.approx(1 / (1 - p), rel=0.01)


def test_neighbours_are_independent() -> None:
    with fast_dropout():
        kept = (drawn(0, 0.5, torch.ones(400_000)) > 0).float()
    for distance in range(1, 9):
        together = float((kept[:-distance] * kept[distance:]).mean())
        assert together == pytest.approx(0.25, abs=0.005)


def test_the_seed_decides_and_layout_does_not() -> None:
    for times in (1, 10):  # small and large masks come from two generators
        with fast_dropout():
            like = torch.ones(300, 301 * times)
            assert torch.equal(drawn(1, like=like), drawn(1, like=like))
            assert not torch.equal(drawn(1, like=like), drawn(2, like=like))
            turned = drawn(1, like=torch.ones(301 * times, 300).t())
        assert float((turned == 0).float().mean()) == pytest.approx(0.1, abs=0.01)


def test_attention_and_generators_are_served() -> None:
    values = torch.randn(2, 2, 8, 4, requires_grad=True)
    with fast_dropout():
        scaled_dot_product_attention(values, values, values, dropout_p=0.5).sum().backward()  # type: ignore[no-untyped-call]
        for size in (50, 5_000, 500_000):
            own = [torch.ones(size).bernoulli_(0.5, generator=torch.Generator().manual_seed(3)) for _ in range(2)]
            assert torch.equal(*own)
        assert torch.ones(5).bernoulli_(1.0).tolist() == [1.0] * 5
        assert torch.ones(5).bernoulli_(0.0).tolist() == [0.0] * 5
    assert values.grad is not None


def test_torch_is_as_it_was_afterwards() -> None:
    before = drawn(5)
    with fast_dropout():
        with fast_dropout():
            within = drawn(5)
        assert torch.equal(drawn(5), within)
    assert not torch.equal(within, before)
    assert torch.equal(drawn(5), before)


def test_torch_is_as_it_was_after_an_error() -> None:
    before = drawn(5)
    with pytest.raises(KeyError), fast_dropout():
        raise KeyError
    assert torch.equal(drawn(5), before)
