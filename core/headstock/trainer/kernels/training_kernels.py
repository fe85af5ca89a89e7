"""All that makes torch's operations train faster, together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from headstock.trainer.config import TrainerConfig
from headstock.trainer.kernels.attention import planless_attention, quick_attention
from headstock.trainer.kernels.dropout import quick_masks
from headstock.trainer.kernels.recurrent import quick_recurrence


@contextmanager
def quick_operations(config: TrainerConfig, device: torch.device) -> Iterator[None]:
    """Let dropout, attention and recurrent layers take faster ways on a device while this is active.

    With ``trainer.compile``, which has to see torch's own operations, dropout alone does.
    """
    with ExitStack() as stack:
        stack.enter_context(planless_attention(config, device))
        if device.type == "cpu":
            stack.enter_context(quick_masks())
            if not config.compile:
                stack.enter_context(quick_attention())
                stack.enter_context(quick_recurrence())
        yield
