"""All that makes torch's operations train faster, together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from headstock.trainer.attention import planless_attention, quick_attention
from headstock.trainer.masks import quick_masks
from headstock.trainer.recurrent import quick_recurrence


@contextmanager
def quick_operations(compiles: bool, device: torch.device) -> Iterator[None]:
    """Let dropout, attention and recurrent layers take faster ways on a device while this is active.

    Args:
        compiles: Whether the model goes through ``torch.compile``, which has to see torch's own operations.
        device: Where the model is.
    """
    with ExitStack() as stack:
        if device.type == "cpu":
            stack.enter_context(quick_masks())
            if not compiles:
                stack.enter_context(quick_attention())
                stack.enter_context(quick_recurrence())
        elif not compiles:
            stack.enter_context(planless_attention(device))
        yield
