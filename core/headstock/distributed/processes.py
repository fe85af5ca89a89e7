"""The process itself: whether ``torchrun`` started it, who speaks, how the processes join and how they end."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from headstock.distributed.ranks import ALONE, GRACE, OtherRankError, Ranks
from headstock_registry import HeadstockError

LAUNCHED_WITH = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun sets for each process."""


def launched() -> bool:
    """Whether torchrun started this process as one of several."""
    return all(name in os.environ for name in LAUNCHED_WITH) and int(os.environ["WORLD_SIZE"]) > 1


def leads() -> bool:
    """Whether this process is the one that speaks: the first rank, or the only process."""
    return not launched() or int(os.environ["RANK"]) == 0


def quieten() -> None:
    """Keep libraries quiet where torchrun started this process; to be called before they are imported.

    Other ranks than the first show no progress and no hints. On all ranks ``DistributedDataParallel`` would warn, in
    the first step, that no parameter was left unused.
    """
    if not launched():
        return
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    if not leads():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Join the processes that torchrun started, for a run; without torchrun there is nothing to join.

    An error inside is made known to the other ranks. The lowest of the ranks that have one raises it, with its rank in
    the message if that is not 0; the others raise :class:`OtherRankError`. The processes are out of step then, and have
    to end.

    Args:
        device: The recipe's ``trainer.device``. On ``cuda`` each rank uses the GPU whose index is its local rank.

    Raises:
        HeadstockError: there are more processes on this machine than GPUs, or the other ranks cannot be reached.
    """
    if not launched():
        yield ALONE
        return
    from headstock.distributed.group import start

    group = start(device)
    try:
        yield group
    except Exception as error:
        told = group.tell(error)
        if told is error:
            raise
        raise told from error


def speaks(error: HeadstockError) -> bool:
    """Say whether this process is to show an error that ends the command.

    A rank that fails before it has joined the others waits a moment: if all fail alike, torchrun ends it as soon as the
    first has spoken.
    """
    if isinstance(error, OtherRankError):
        return False
    if not leads() and not getattr(error, "told", False):
        time.sleep(GRACE)
        error.args = (f"rank {os.environ['RANK']}: {error}", *error.args[1:])
    return True


def leave(code: int) -> NoReturn:
    """End this process after an error. One of several goes at once: taking connections down would wait for the rest."""
    if launched():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
