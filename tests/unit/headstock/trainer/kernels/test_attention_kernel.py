from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from headstock.trainer.kernels.attention import MAX_KEYS_BF16, bf16_attention

FUSED = "aten::_scaled_dot_product_flash_attention_for_cpu"


def attend(
    length: int, dtype: torch.dtype = torch.bfloat16, train: bool = True
) -> tuple[Tensor, Tensor | None, set[str]]:
    """Return output, gradient and the names of all operations."""
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 3, length, 8, dtype=dtype, requires_grad=train) for _ in range(3))
    mask = torch.ones(2, 1, length, length, dtype=torch.bool)
    mask[1, :, :, length // 2 :] = False
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        output = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        if train:
            (output.float() ** 2).sum().backward()  # type: ignore[no-untyped-call]
    return output.detach(), query.grad, {event.key for event in profile.key_averages()}


@pytest.fixture
def bf16() -> Iterator[None]:
    with bf16_attention():
        yield


@pytest.mark.usefixtures("bf16")
def test_training_in_bfloat16_goes_through_products() -> None:
    assert FUSED not in attend(24)[2]


@pytest.mark.usefixtures("bf16")
@pytest.mark.parametrize(
    ("length", "dtype", "train"),
    [(24, torch.float32, True), (24, torch.bfloat16, False), (MAX_KEYS_BF16 + 1, torch.bfloat16, True)],
)
def test_all_else_stays_with_the_fused_kernel(length: int, dtype: torch.dtype, train: bool) -> None:
    assert FUSED in attend(length, dtype, train)[2]


def test_numbers_are_those_of_the_fused_kernel() -> None:
    expected = attend(24)
    with bf16_attention():
        found = attend(24)
    exact = attend(24, torch.float32)
    for position in (0, 1):
        scale = exact[position].abs().max()  # type: ignore[union-attr]
        assert (found[position].float() - expected[position].float()).abs().max() <= 0.02 * scale  # type: ignore[union-attr]


class Products(TorchDispatchMode):
    """Notes in which dtypes matrices are multiplied."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: set[torch.dtype] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.bmm.default:
            self.kinds.add(args[0].dtype)
        return func(*args, **kwargs or {})


def test_dropout_is_not_computed_in_float32() -> None:
    query = torch.randn(2, 3, 24, 8, dtype=torch.bfloat16, requires_grad=True)
    with bf16_attention(), Products() as products:
        nn.functional.scaled_dot_product_attention(query, query, query, dropout_p=0.1).sum().backward()  # type: ignore[no-untyped-call]
    assert products.kinds == {torch.bfloat16}


def test_everything_is_as_before_at_the_end() -> None:
    original = nn.functional.scaled_dot_product_attention
    with bf16_attention():
        assert nn.functional.scaled_dot_product_attention is not original
    assert nn.functional.scaled_dot_product_attention is original
    assert torch.backends.cuda.flash_sdp_enabled()
    assert not torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()
