"""The processes of one run. ``torchrun`` starts several, each with a device of its own; without it there is one.

A process is named by its rank. Rank 0 is the first: it alone speaks, and writes files (but for shares of a model that
is shared out, see :mod:`headstock.trainer.state.sharded_files`). What decides how the run goes on
is found out by the first and told to the rest (:meth:`Ranks.from_first`), or agreed on (:meth:`Ranks.sum`,
:meth:`Ranks.stop_vote`), so that all take the same turns.

Values between processes are JSON, weights are raw bytes. Nothing is pickled here; torch does so where it tells ranks of
each other's shares of a checkpoint. This module imports no torch.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from headstock_registry import HeadstockError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LAUNCHED_WITH = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun sets for each process."""

GRACE = 5.0
"""Seconds that a rank waits with bad news, so that of several ranks with the same news the first one tells it."""

ONE_DISK = "with trainer.fsdp all ranks need the run directory on one disk"
"""What to do where a rank does not find what another has written."""


class OtherRankError(HeadstockError):
    """Another rank has ended the run and has said, or will say, why."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class StopVote:
    """Asks at each step whether any rank was told to stop."""

    def agreed(self, signal: int | None) -> int | None:
        """Return the signal that ends the run at this step on all ranks, given the one that this rank received."""
        return signal

    def close(self) -> None:
        """Wait for what is under way."""


class Ranks:
    """A run's only process, and what several would have to do together.

    Attributes:
        rank: Number of this process, from 0.
        size: How many there are.
        local_rank: Number of this process on its machine, from 0.
    """

    rank = 0
    size = 1
    local_rank = 0

    @property
    def first(self) -> bool:
        """Whether this is rank 0, which writes and speaks."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum a tensor over the ranks, in place; every rank gets the same bits."""
        return tensor

    def gather(self, value: Any) -> list[Any] | None:
        """Return the JSON values of all ranks, in the order of ranks, on the first; ``None`` on the others."""
        return [value]

    def from_first(self, make: Callable[[], Any]) -> Any:
        """Call ``make`` on the first rank, and return on every rank the JSON value that it returned.

        The others wait as long as it takes. ``make`` does without the other ranks.

        Raises:
            OtherRankError: on the others, when ``make`` raised, or when another rank ended the run meanwhile.
        """
        return make()

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """Let the first rank through the block, then the first of each machine, then all others at once.

        So what is cached on disk is made once, and found by the rest.
        """
        yield

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors, in place, with those of the first rank."""

    def spread(self, make: Callable[[], dict[str, Tensor]], device: torch.device) -> dict[str, Tensor]:
        """Return on every rank the tensors that ``make`` returns on the first; the others get them on ``device``."""
        del device
        return make()

    def stop_vote(self) -> StopVote:
        """Begin to ask whether any rank was told to stop."""
        return StopVote()


ALONE = Ranks()
"""The one process of a run without torchrun."""


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
        device: The recipe's ``trainer.device``. On ``cuda`` each rank takes the GPU of its number on its machine.

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
