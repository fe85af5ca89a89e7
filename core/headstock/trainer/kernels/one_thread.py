"""One thread for steps whose operations are too small to be shared by several."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from headstock.cpu_threads import COUNTING, thread_limit
from headstock.distributed import ALONE, Ranks
from headstock.interfaces import Batch
from headstock.trainer.config import TrainerConfig
from headstock.trainer.kernels.patches import PATCHES, Undo
from headstock.trainer.step.precision import autocast

SMALL = 2**15
"""Elements below which torch computes a tensor on one thread. Products of matrices that are all smaller take some
microseconds, and other libraries share even those."""

FEW = 2**22
"""Parameters up to which one thread is enough for the optimizer, tables included."""

MANY = 2**19
"""Elements from which element-wise work is worth waking the other threads for."""

NAME = "one thread"
"""Names the patch."""


@contextmanager
def one_thread_if_small(
    model: nn.Module,
    costliest: Callable[[], Batch],
    config: TrainerConfig,
    device: torch.device,
    ranks: Ranks = ALONE,
) -> Iterator[bool]:
    """Use one thread while this is active if a model's operations are all small; gives whether that is so.

    Two threads gain nothing there, for they wait for each other at each operation, and where other processes want
    the CPUs too, every wait may last until the system's next turn: a step takes ten times as long. The same is decided
    for the same model, data and options, so a run that is resumed has the same sums. Off on GPUs, with
    ``trainer.compile``, and where the user has said how many threads there are.

    Args:
        model: Called with a batch, in evaluation mode; the mode is put back.
        costliest: Makes the batch to try.
        config: The recipe's ``trainer`` section, its precision settled.
        device: Where the model is.
        ranks: The processes of the run; torchrun has divided the CPUs over several.
    """
    several = torch.get_num_threads() > 1 or PATCHES.users(NAME)
    asked = device.type == "cpu" and several and ranks.size == 1 and not config.compile
    asked = asked and thread_limit(os.environ) not in COUNTING
    if not (asked and _has_small_weights(model) and _computes_small(model, costliest(), config, device)):
        yield False
        return
    with PATCHES.active(NAME, _use_one_thread):
        yield True


@contextmanager
def all_threads(elements: int) -> Iterator[None]:
    """Use all threads meanwhile, where one is used else, if there are many elements to work on.

    For element-wise work alone, whose results do not depend on the number of threads.
    """
    if not _several or elements < MANY:
        yield
        return
    torch.set_num_threads(_several[-1])
    try:
        yield
    finally:
        torch.set_num_threads(1)


_several: list[int] = []
"""How many threads there were before one was used; empty where that is not so."""


def _use_one_thread() -> Undo:
    _several.append(torch.get_num_threads())
    torch.set_num_threads(1)
    return lambda: torch.set_num_threads(_several.pop())


def _has_small_weights(model: nn.Module) -> bool:
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    parameters = list(model.parameters())
    small = all(each.numel() < SMALL for each in parameters if id(each) not in tables)
    return small and sum(each.numel() for each in parameters) <= FEW


def _computes_small(model: nn.Module, batch: Batch, config: TrainerConfig, device: torch.device) -> bool:
    """Tell whether all that a model makes of a batch is small; stops at the first tensor that is not."""
    if any(tensor.numel() >= SMALL for tensor in batch.tensors()):
        return False
    before = model.training
    model.eval()
    try:
        with torch.no_grad(), autocast(config, device), _OnlySmall():  # type: ignore[no-untyped-call]
            model(batch)
    except Exception:  # not small, or it fails, of which the training step says more
        return False
    finally:
        model.train(before)
    return True


class _NotSmallError(Exception):
    """An operation gave a tensor that is not small."""


class _OnlySmall(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Ends what is computed when a tensor is not small."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if any(isinstance(leaf, Tensor) and leaf.numel() >= SMALL for leaf in tree_leaves(result)):
            raise _NotSmallError
        return result
