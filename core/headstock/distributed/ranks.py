"""What a run does together with the other processes, and the run of one process, which does it alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from headstock_registry import HeadstockError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

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
        rank: Index of this process.
        size: How many there are.
        local_rank: Index of this process on its machine.
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
