"""All that makes torch's operations train faster, together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from headstock.trainer.config import TrainerConfig
from headstock.trainer.kernels.attention import attention_without_cudnn, bf16_attention
from headstock.trainer.kernels.dropout import fast_dropout


@contextmanager
def training_kernels(config: TrainerConfig, device: torch.device) -> Iterator[None]:
    """Let dropout and attention use faster kernels on a device while this is active.

    With ``trainer.compile``, which has to see torch's own operations, dropout alone does.
    """
    with ExitStack() as stack:
        stack.enter_context(attention_without_cudnn(config, device))
        if device.type == "cpu":
            stack.enter_context(fast_dropout())
            if not config.compile:
                stack.enter_context(bf16_attention())
        yield
