"""Several processes, through ``torch.distributed``: NCCL between GPUs, gloo between CPUs."""

from __future__ import annotations

import atexit
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from headstock.distributed.ranks import GRACE, OtherRankError, Ranks, StopVote
from headstock_registry import HeadstockError

TIMEOUT = timedelta(minutes=10)
"""How long ranks wait for each other inside a step. What may take longer is waited for by :meth:`Group.from_first`."""

LONGEST_PAUSE = 0.05
"""Seconds between two looks at whether another rank is done, at most."""


class GroupVote(StopVote):
    """A vote whose result is collected a step later, so that no step waits for it."""

    def __init__(self) -> None:
        self._vote: tuple[Any, Tensor] | None = None

    def agreed(self, signal: int | None) -> int | None:
        """Return the largest signal that any rank had received at the step before."""
        before = self._collect()
        vote = torch.tensor([signal or 0])
        self._vote = (dist.all_reduce(vote, dist.ReduceOp.MAX, async_op=True), vote)
        return before or None

    def close(self) -> None:
        """Wait for the last vote."""
        self._collect()

    def _collect(self) -> int:
        if self._vote is None:
            return 0
        work, vote = self._vote
        self._vote = None
        work.wait()
        return int(vote.tolist()[0])


class Group(Ranks):
    """What the ranks of a run do together. Made by :func:`start`.

    Args:
        store: Where all ranks can leave and find values.
    """

    def __init__(self, store: Store) -> None:
        self.rank, self.size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        self.local_rank = int(os.environ["LOCAL_RANK"])
        self._store, self._number = store, 0

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum a tensor over the ranks, in place."""
        dist.all_reduce(tensor)
        return tensor

    def gather(self, value: Any) -> list[Any] | None:
        """Return the JSON values of all ranks on the first, ``None`` on the others."""
        data = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
        sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.size)]
        dist.all_gather(sizes, torch.tensor([len(data)]))
        if not self.first:
            dist.send(data, dst=0)
            return None
        values = [value]
        for other in range(1, self.size):
            received = torch.empty(int(sizes[other]), dtype=torch.uint8)
            dist.recv(received, src=other)
            values.append(json.loads(received.numpy().tobytes()))
        return values

    def from_first(self, make: Callable[[], Any]) -> Any:
        """Call ``make`` on the first rank and return its JSON value everywhere."""
        key = self._key("value")
        if self.first:
            with _apart():
                value = make()
            self._store.set(key, json.dumps(value))
        self._wait(key)
        return json.loads(self._store.get(key))

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """Let the first rank through, then the first of each machine, then the others."""
        key = self._key("turn")
        for before in dict.fromkeys((0, self.rank - self.local_rank)):
            if before < self.rank:
                self._wait(f"{key}/{before}")
        with _apart():
            yield
        self._store.set(f"{key}/{self.rank}", "")

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors with those of the first rank."""
        for tensor in tensors:
            values = tensor.detach().contiguous()
            dist.broadcast(values.view(-1).view(torch.uint8), src=0)
            if not self.first and values.data_ptr() != tensor.data_ptr():
                tensor.detach().copy_(values)

    def spread(self, make: Callable[[], dict[str, Tensor]], device: torch.device) -> dict[str, Tensor]:
        """Return the tensors that ``make`` returns on the first rank, one broadcast each."""
        made: dict[str, Tensor] = {}

        def describe() -> dict[str, Any]:
            made.update(make())
            return {name: [str(value.dtype).removeprefix("torch."), *value.shape] for name, value in made.items()}

        described: dict[str, list[Any]] = self.from_first(describe)
        for name, (dtype, *shape) in described.items():
            value = (
                made[name].to(device) if self.first else torch.empty(shape, dtype=getattr(torch, dtype), device=device)
            )
            if value.numel():
                self.broadcast([value])
            if not self.first:
                made[name] = value
        return made

    def stop_vote(self) -> StopVote:
        """Begin to ask whether any rank was told to stop."""
        return GroupVote()

    def tell(self, error: Exception) -> Exception:
        """Make an error known to the other ranks, and return what this one is to raise.

        Returns:
            ``error`` itself on the lowest rank that has one, else an :class:`OtherRankError`.
        """
        lost = _is_lost_contact(error)
        code = getattr(error, "exit_code", None)
        if not isinstance(error, OtherRankError) and not lost:
            self._report()
        others = [rank for rank in range(self.size) if rank != self.rank] if lost else list(range(self.rank))
        found = isinstance(error, OtherRankError) or self._any_failed(others, GRACE)
        if found:
            if code is None or isinstance(error, OtherRankError):
                time.sleep(GRACE)  # who has something to say gets to say it; its end is the end of this rank too
            if isinstance(error, OtherRankError):
                return error
            return OtherRankError("another rank has ended the run", 1 if code is None else code)
        if lost:
            reason = next(iter(str(error).splitlines()), "")
            error = HeadstockError(
                f"rank {self.rank} lost contact with another rank, which was killed or cannot be reached ({reason}); "
                "--resume starts from the last checkpoint"
            )
        elif not isinstance(error, HeadstockError):
            error.add_note(f"on rank {self.rank} of {self.size}")
        elif self.rank:
            error.args = (f"rank {self.rank}: {error}", *error.args[1:])
        error.told = True  # type: ignore[attr-defined]
        return error

    def _key(self, kind: str) -> str:
        """Return a name that is the same on all ranks, and new."""
        self._number += 1
        return f"{kind}/{self._number}"

    def _wait(self, key: str) -> None:
        pause = 0.001
        while not self._store.check([key]):
            if self._store.check(["failed"]):
                raise OtherRankError("another rank has ended the run")
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _report(self) -> None:
        """Let the other ranks know that this one has an error."""
        try:
            self._store.set(f"failed/{self.rank}", "")
            self._store.set("failed", "")
        except RuntimeError:  # whoever kept the store is gone, and so is everyone who could read it
            return

    def _any_failed(self, others: list[int], seconds: float) -> bool:
        """Say whether one of ``others`` has reported an error within so many seconds."""
        end = time.monotonic() + seconds
        try:
            while others:
                if any(self._store.check([f"failed/{other}"]) for other in others):
                    return True
                if time.monotonic() > end:
                    break
                time.sleep(LONGEST_PAUSE)
        except RuntimeError:
            return False
        return False


_started: Group | None = None


def start(device: str) -> Group:
    """Join the processes that torchrun started; a second run in the same process finds them joined.

    Raises:
        HeadstockError: there are more processes on this machine than GPUs, the other ranks cannot be reached, or the
            program has a process group already.
    """
    global _started  # noqa: PLW0603 - a process can join once
    if _started is not None:
        return _started
    on_gpu = device != "cpu" and torch.cuda.is_available()
    if on_gpu:
        _select_gpu(int(os.environ["LOCAL_RANK"]))
    if dist.is_initialized():
        raise HeadstockError("torch.distributed is in use already; headstock starts the process group itself")
    # What an earlier try left must not be taken for this one's, when torchrun was told to try again.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    try:
        store, rank, size = next(iter(rendezvous("env://", timeout=TIMEOUT)))
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
            store=PrefixStore(f"torch/{attempt}", store),
            rank=rank,
            world_size=size,
            timeout=TIMEOUT,
        )
    except (RuntimeError, ValueError) as error:
        place = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        reason = next(iter(str(error).splitlines()), "")
        raise HeadstockError(f"cannot reach the other ranks at {place}: {reason}") from error
    _started = Group(PrefixStore(f"headstock/{attempt}", store))
    atexit.register(_leave)
    return _started


@contextmanager
def _apart() -> Iterator[None]:
    """Hide the process group from libraries while this rank does something that the others do not.

    A metric of torchmetrics, for one, gathers its state from all ranks wherever it finds a process group, and would
    wait here for ranks that never come.
    """
    member: Any = dist.GroupMember
    group = member.WORLD
    member.WORLD = None
    try:
        yield
    finally:
        member.WORLD = group


def _select_gpu(local_rank: int) -> None:
    count = torch.cuda.device_count()
    if local_rank >= count:
        started = os.environ.get("LOCAL_WORLD_SIZE", local_rank + 1)
        raise HeadstockError(
            f"torchrun started {started} processes on a machine with {count} GPUs; use --nproc-per-node {count}"
        )
    torch.cuda.set_device(local_rank)


def _leave() -> None:
    """Close connections; where a rank has failed they are left as they are, since closing waits for the others."""
    try:
        failed = _started is None or _started._store.check(["failed"])
    except RuntimeError:
        return
    if not failed and dist.is_initialized():
        dist.destroy_process_group()


def _is_lost_contact(error: Exception) -> bool:
    """Tell an error of the connection between ranks; torch raises most of them as plain ``RuntimeError``."""
    if isinstance(error, dist.DistError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        word in text for word in ("gloo", "nccl", "connection closed by peer")
    )
