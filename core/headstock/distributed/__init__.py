"""The processes of one run. ``torchrun`` starts several, each with a device of its own; without it there is one.

A process is named by its rank. Rank 0 is the first: it alone speaks, and writes files (but for the shards of a sharded
model, see :mod:`headstock.trainer.state.sharded_files`). What decides how the run continues is
found out by the first and told to the rest (:meth:`Ranks.from_first`), or agreed on (:meth:`Ranks.sum`,
:meth:`Ranks.stop_vote`), so that all take the same branches.

Values between processes are JSON, weights are raw bytes. Nothing is pickled here; torch does so where it tells ranks of
each other's shards of a checkpoint. This module imports no torch.
"""

from headstock.distributed.processes import joined, launched, leads, leave, quieten, speaks
from headstock.distributed.ranks import ALONE, GRACE, ONE_DISK, OtherRankError, Ranks, StopVote

__all__ = [
    "ALONE",
    "GRACE",
    "ONE_DISK",
    "OtherRankError",
    "Ranks",
    "StopVote",
    "joined",
    "launched",
    "leads",
    "leave",
    "quieten",
    "speaks",
]
