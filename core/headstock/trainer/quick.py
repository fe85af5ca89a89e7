"""All that makes torch's operations train faster on a CPU, together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from headstock.trainer.attention import quick_attention
from headstock.trainer.masks import quick_masks
from headstock.trainer.recurrent import quick_recurrence


@contextmanager
def quick_operations(compiles: bool) -> Iterator[None]:
    """Let dropout, attention and recurrent layers take faster ways while this is active.

    Args:
        compiles: Whether the model goes through ``torch.compile``, which has to see torch's own operations.
    """
    with ExitStack() as stack:
        stack.enter_context(quick_masks())
        if not compiles:
            stack.enter_context(quick_attention())
            stack.enter_context(quick_recurrence())
        yield
