"""Optimizer steps on a GPU, recorded once for each shape of batch and replayed as one (CUDA graphs).

Launching the operations of a small or middling model one by one takes the host several times as long as the GPU needs
to do them. A recorded step is launched at once.
"""

from __future__ import annotations

import random
import warnings
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from headstock.interfaces import Batch
from headstock.ranks import Ranks
from headstock.trainer.batches import Indices
from headstock.trainer.config import TrainerConfig
from headstock.trainer.gradient import Gradient, seed_everything
from headstock.trainer.memory import is_out_of_memory
from headstock.trainer.step import OptimizerStep, Outcome

TRIED = 64
"""Shapes that are recorded when they come for the first time. From then on that goes on only while recordings are used
twice on average; else a shape has to come again first."""

MOST = 256
"""Recordings that are kept, for each takes some memory: beyond, the one that was used longest ago goes."""

CHECKED = 3
"""Replays, the first of a run, that are compared with steps that are launched one by one."""

CLOSE = 1e-2
"""How far, relatively, loss and norm of the two may be apart."""

WAITED = "called a synchronizing CUDA operation"
"""What torch says of an operation that waits for the GPU where that is an error."""

Shape = tuple[object, ...]
"""Names, sizes and types of all tensors of a batch."""


def can_record(config: TrainerConfig, device: torch.device, ranks: Ranks) -> bool:
    """Tell whether steps are to be recorded: on one GPU, where nothing else sees to it."""
    return config.cuda_graphs and device.type == "cuda" and ranks.size == 1 and not config.compile


class Recording(NamedTuple):
    """A recorded step.

    Attributes:
        graph: What is replayed.
        batch: The tensors that it reads.
    """

    graph: torch.cuda.CUDAGraph
    batch: Batch


class RecordedSteps:
    """Takes the optimizer steps that can be replayed, and leaves the others.

    A replay does what was done when it was recorded, with other numbers: those of the batch, of the learning rate and
    of the GPU's random generator, which is seeded for it as for any step. What a step does on the host is not done
    again. So a step that draws random numbers there, that puts other tensors in the place of parameters or buffers, or
    that waits for the GPU, is not recorded; and the first few replays, on batches other than the recorded one, are
    compared with what the same operations give when they are launched one by one. Where something is amiss nothing is
    replayed from then on, and the person is told.

    Args:
        model: What is trained.
        gradient: Puts batches together and adds up their gradient.
        step: Updates the parameters.
        parameters: All that is trained.
        seed: Seed of everything random.
        device: A CUDA device.
        say: Takes a line for the person.
    """

    def __init__(
        self,
        model: nn.Module,
        gradient: Gradient,
        step: OptimizerStep,
        parameters: Sequence[nn.Parameter],
        seed: int,
        device: torch.device,
        say: Callable[[str], None],
    ) -> None:
        self._model, self._gradient, self._step, self._parameters = model, gradient, step, parameters
        self._seed, self._device, self._say = seed, device, say
        self._pool = torch.cuda.graph_pool_handle()
        self._seen: Counter[Shape] = Counter()
        self._recordings: OrderedDict[Shape, Recording] = OrderedDict()
        self._to_check, self._rehearsed, self._off = CHECKED, False, False
        number, truth = torch.zeros(4, device=device).unbind(), torch.zeros(2, dtype=torch.bool, device=device)
        self._outcome = Outcome(number[0], number[1], number[2], truth[0])
        self._hold = truth[1]
        self.recorded, self.replayed = 0, 0
        """How many shapes were recorded, and how many steps replayed."""
        gradient.relieve = self._relieve

    def take(self, batches: Sequence[Indices], number: int) -> Outcome | None:
        """Replay the step of this number; ``None`` if it is not one that can be: then nothing was done.

        The outcome's tensors are the same ones at each replay.
        """
        if self._off or len(batches) != 1 or len(self._gradient.limit.cut(batches[0])) != 1:
            return None
        batch = self._gradient.prepare(batches[0])
        recording = self._recording(batch)
        if recording is None:
            return None
        _fill(recording.batch, batch)
        if self._to_check and not self._agrees(recording, batch, number):
            return None
        seed_everything(self._seed, number, 0)
        recording.graph.replay()
        self.replayed += 1
        return self._outcome

    def close(self) -> None:
        """Let go of all recordings."""
        self._recordings.clear()

    def _recording(self, batch: Batch) -> Recording | None:
        """Return what a batch's step can be replayed from, if need be after recording it."""
        shape = _shape(batch)
        self._seen[shape] += 1
        if shape in self._recordings:
            self._recordings.move_to_end(shape)
            return self._recordings[shape]
        if self._seen.total() == 1:  # the first step of all makes what is made once
            return None
        pays = self.recorded < TRIED or self.replayed >= 2 * self.recorded
        if self._seen[shape] == 1 and not pays:
            return None
        recording = self._record(batch)
        if recording is None:
            return None
        self.recorded += 1
        self._recordings[shape] = recording
        if len(self._recordings) > MOST:
            self._recordings.popitem(last=False)
        return recording

    def _record(self, batch: Batch) -> Recording | None:
        """Record the step with a batch like this one, without taking it; ``None`` if that cannot be."""
        why_not = self._warm_up(batch) if self._rehearsed else self._rehearse(batch)
        if why_not is not None:
            self._stop(why_not)
            return None
        self._rehearsed = True
        recording = Recording(torch.cuda.CUDAGraph(), batch.map(torch.clone))
        states = len(self._step.optimizer.state)
        try:
            # A recording that breaks off leaves its own stream the current one; the outer context puts that right.
            with (
                torch.cuda.stream(torch.cuda.current_stream(self._device)),
                torch.cuda.graph(recording.graph, pool=self._pool, capture_error_mode="thread_local"),
            ):
                self._do(recording.batch)
        except RuntimeError as error:
            self._stop("memory ran out over it" if is_out_of_memory(error) else "it cannot be recorded as it is")
            return None
        if len(self._step.optimizer.state) != states:
            # What the optimizer begins with would be made anew at each replay.
            self._stop("it trains other parameters from step to step")
            return None
        return recording

    def _rehearse(self, batch: Batch) -> str | None:
        """Return why steps cannot be recorded, or ``None``: none of the reasons that are looked for is there.

        Forward and backward pass run once more for it, and change nothing.
        """
        host, tensors = self._host_state(), self._tensors()
        self._gradient.buffers.take()
        total, count = torch.zeros((), device=self._device), torch.zeros((), device=self._device)
        try:
            with _no_waiting():
                self._gradient.add(batch, total, count)
        except RuntimeError as error:
            if is_out_of_memory(error):
                return "memory ran out over it"
            if WAITED not in str(error):
                raise
            return "it waits for the GPU"
        finally:
            self._gradient.buffers.put_back()
            self._model.zero_grad(set_to_none=True)
        if not _same(host, self._host_state()):
            return "it draws random numbers on the host"
        if any(first is not second for first, second in zip(tensors, self._tensors(), strict=True)):
            return "it puts new tensors in the place of parameters or buffers"
        return None

    def _warm_up(self, batch: Batch) -> str | None:
        """Let the model make what it keeps for a new shape (a table of positions, say), outside of any recording."""
        self._gradient.buffers.take()
        try:
            self._gradient.forward(batch)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            return "memory ran out over it"
        finally:
            self._gradient.buffers.put_back()
        return None

    def _do(self, batch: Batch) -> None:
        """Do one step, all of it on the device."""
        self._gradient.buffers.take()
        total, count = torch.zeros((), device=self._device), torch.zeros((), device=self._device)
        self._gradient.add(batch, total, count)
        outcome = self._step.update(self._gradients(), total, count, self._hold)
        for place, value in zip(self._outcome, outcome, strict=True):
            place.copy_(value)

    def _gradients(self) -> list[Tensor]:
        return [parameter.grad for parameter in self._parameters if parameter.grad is not None]

    def _host_state(self) -> list[Any]:
        """Return the state of the host's random generators."""
        return [torch.get_rng_state(), random.getstate(), np.random.get_state()]

    def _tensors(self) -> list[Tensor]:
        return [*self._model.parameters(), *self._model.buffers()]

    def _agrees(self, recording: Recording, batch: Batch, number: int) -> bool:
        """Tell whether a replay gives the loss and norm of a step that is launched; neither changes the model."""
        self._hold.fill_(True)
        seed_everything(self._seed, number, 0)
        recording.graph.replay()
        replayed = torch.stack([self._outcome.total, self._outcome.counted, self._outcome.norm])
        self._hold.fill_(False)
        self._gradient.buffers.put_back()

        seed_everything(self._seed, number, 0)
        total, count = torch.zeros((), device=self._device), torch.zeros((), device=self._device)
        self._gradient.add(batch, total, count)
        norm = torch.nn.utils.get_total_norm(self._gradients()) / count
        self._model.zero_grad(set_to_none=True)
        self._gradient.buffers.put_back()
        self._to_check -= 1
        agrees = torch.allclose(replayed, torch.stack([total, count, norm]), rtol=CLOSE, equal_nan=True)
        if not agrees:
            self._stop("what is replayed differs from what is launched")
        return agrees

    def _relieve(self) -> bool:
        """Let go of the memory of all recordings, if there are any."""
        if not self._recordings:
            return False
        self._stop("memory ran out")
        return True

    def _stop(self, why: str) -> None:
        """Replay nothing from now on."""
        self._say(f"trainer.cuda_graphs: steps are launched operation by operation from now on: {why}")
        self._off = True
        self._recordings.clear()
        self._model.zero_grad(set_to_none=True)
        # A recording that broke off leaves the generator in between.
        fresh = torch.Generator(self._device)
        torch.cuda.default_generators[fresh.device.index].graphsafe_set_state(fresh.graphsafe_get_state())
        torch.cuda.empty_cache()


@contextmanager
def _no_waiting() -> Iterator[None]:
    """Let operations that wait for the GPU raise, and models take the ways that they take while they are recorded."""
    before = torch.cuda.get_sync_debug_mode()
    asked = torch.cuda.is_current_stream_capturing
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that it does not know of all such operations
        torch.cuda.set_sync_debug_mode("error")
    torch.cuda.is_current_stream_capturing = lambda: True
    try:
        yield
    finally:
        torch.cuda.is_current_stream_capturing = asked
        torch.cuda.set_sync_debug_mode(before)


def _shape(batch: Batch) -> Shape:
    found: list[object] = [batch.size]

    def note(tensor: Tensor) -> Tensor:
        found.append((tensor.shape, tensor.dtype))
        return tensor

    batch.map(note)
    return (*batch.inputs, None, *batch.targets, *found)


def _fill(places: Batch, values: Batch) -> None:
    """Copy a batch's tensors to those of another one of the same shape."""
    torch._foreach_copy_(_tensors(places), _tensors(values))


def _tensors(batch: Batch) -> list[Tensor]:
    found: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    batch.map(note)
    return found


def _same(first: Any, second: Any) -> bool:
    """Tell whether two states of random generators are the same."""
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(_same, first, second))
    if isinstance(first, Tensor):
        return torch.equal(first, second)
    return bool(np.array_equal(first, second))
