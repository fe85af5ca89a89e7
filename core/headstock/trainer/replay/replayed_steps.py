"""Optimizer steps on a GPU, captured once for each shape of batch and replayed as one.

Launching the operations of a small or middling model one by one takes the host several times as long as the GPU needs
to do them. A captured step is launched as one.
"""

from __future__ import annotations

import random
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from headstock.distributed import Ranks
from headstock.interfaces import Batch
from headstock.trainer.config import TrainerConfig
from headstock.trainer.plan.batches import Indices
from headstock.trainer.replay.cuda_graphs import Capturer, WaitsError
from headstock.trainer.step.gradient import Gradient, seed_everything
from headstock.trainer.step.out_of_memory import MemoryRelief, is_out_of_memory
from headstock.trainer.step.update import OptimizerStep, Outcome
from headstock_registry import HeadstockError

TRIED = 64
"""Shapes that are captured when they come for the first time. Later shapes are captured at once only while captures are
used twice on average; else a shape has to come again first."""

MOST = 256
"""Captures that are kept, for each takes some memory: beyond, the one that was used longest ago goes."""

CHECKED = 3
"""Replays, the first of a run, that are compared with eager steps."""

CLOSE = 1e-2
"""How far, relatively, loss and norm of the two may be apart."""

MOVES = "it replaces parameters or buffers by new tensors"

Shape = tuple[object, ...]
"""Names, sizes and types of all tensors of a batch."""


def can_replay(config: TrainerConfig, device: torch.device, ranks: Ranks) -> bool:
    """Tell whether steps are to be captured: on one GPU, where nothing else sees to it.

    What recomputes activations sets the random generator back for it, which a graph cannot.
    """
    alone = device.type == "cuda" and ranks.size == 1
    return config.cuda_graphs and alone and not (config.compile or config.gradient_checkpointing)


class CapturedStep(NamedTuple):
    """A captured step.

    Attributes:
        replay: Does it.
        batch: The tensors that it reads.
    """

    replay: Callable[[], None]
    batch: Batch


class ReplayedSteps:
    """Takes the optimizer steps that can be replayed, and leaves the others.

    A replay does what was done when it was captured, with other numbers: those of the batch, of the learning rate and
    of the GPU's random generator, which is seeded for it as for any step. What a step does on the host is not done
    again. So a step that draws random numbers there, that replaces parameters or buffers by other tensors, or that
    waits for the GPU, is not captured; and the first few replays, on batches other than the captured one, are
    compared with what an eager step gives. Where something is amiss nothing is replayed from then on, and the user is
    told.

    Args:
        model: What is trained.
        gradient: Puts batches together and adds up their gradient.
        step: Updates the parameters.
        parameters: All that is trained.
        seed: Seed of everything random.
        capturer: Captures what is done on the parameters' device.
        say: Shows a line to the user.
        relief: Frees the captured graphs when memory runs out.
    """

    def __init__(
        self,
        model: nn.Module,
        gradient: Gradient,
        step: OptimizerStep,
        parameters: Sequence[nn.Parameter],
        seed: int,
        capturer: Capturer,
        say: Callable[[str], None],
        relief: MemoryRelief,
    ) -> None:
        self._model, self._gradient, self._step, self._parameters = model, gradient, step, parameters
        self._seed, self._capturer, self._say = seed, capturer, say
        self._seen: Counter[Shape] = Counter()
        self._captures: OrderedDict[Shape, CapturedStep] = OrderedDict()
        self._to_check, self._off = CHECKED, False
        device = parameters[0].device
        numbers, truths = torch.zeros(3, device=device), torch.zeros(2, dtype=torch.bool, device=device)
        self.outcome = Outcome(numbers[0], numbers[1], numbers[2], truths[0])
        """What a replay gave; every replay fills the same tensors."""
        self._hold = truths[1]
        self.captured, self.replayed = 0, 0
        """How many shapes were captured, and how many steps replayed."""
        self._tensors: list[Tensor] = []
        relief.register(self._relieve)

    def try_replay(self, batches: Sequence[Indices], step: int) -> Outcome | None:
        """Replay optimizer step ``step``; ``None`` if it is not eligible: then nothing was done.

        The outcome's tensors are the same ones at each replay.
        """
        if self._off or len(batches) != 1 or len(self._gradient.limit.cut(batches[0])) != 1:
            return None
        captured, full = None, False
        try:
            captured = self._ready(batches[0], step)
        except (RuntimeError, HeadstockError) as error:
            if not is_out_of_memory(error):
                raise
            full = True
        if full:  # only now is the error gone, and with it the frames that hold memory
            self._stop("memory ran out")
        if captured is None:
            return None
        seed_everything(self._seed, step, 0)
        captured.replay()
        self.replayed += 1
        return self.outcome

    def check_tensors(self) -> None:
        """Stop replaying if what ran meanwhile, a validation, has put other tensors in the model."""
        if self._captures and self._moved():
            self._stop(MOVES)

    def close(self) -> None:
        """Let go of all captured graphs."""
        self._captures.clear()

    def _ready(self, indices: Indices, step: int) -> CapturedStep | None:
        """Return what the step can be replayed from, with the batch in it; ``None`` if it cannot be."""
        seed_everything(self._seed, step, 0)
        batch = self._gradient.prepare(indices)
        shape = _shape(batch)
        known = shape in self._captures
        captured = self._captured_step(shape, batch)
        if captured is None:
            return None
        torch._foreach_copy_(captured.batch.tensors(), batch.tensors())
        # On the batch that was captured, a replay agrees whatever was kept of it.
        if self._to_check and (known or self.captured == 1) and not self._agrees(captured, batch, step):
            return None
        if known and self._to_check:
            self._to_check -= 1
        return captured

    def _captured_step(self, shape: Shape, batch: Batch) -> CapturedStep | None:
        """Return what a batch's step can be replayed from, if need be after capturing it."""
        self._seen[shape] += 1
        if shape in self._captures:
            self._captures.move_to_end(shape)
            return self._captures[shape]
        if self._seen.total() == 1:  # the first step of all makes what is made once
            return None
        pays = self.captured < TRIED or self.replayed >= 2 * self.captured
        if self._seen[shape] == 1 and not pays:
            return None
        captured = self._capture(batch)
        if captured is None:
            return None
        self.captured += 1
        self._captures[shape] = captured
        if len(self._captures) > MOST:
            self._captures.popitem(last=False)
        return captured

    def _capture(self, batch: Batch) -> CapturedStep | None:
        """Capture the step with a batch like this one, without taking it; ``None`` if that cannot be."""
        why_not = self._warm_up(batch) if self._tensors else self._check_capturable(batch)
        if why_not is not None:
            self._stop(why_not)
            return None
        states, own = set(self._step.optimizer.state), batch.map(torch.clone)
        try:
            replay = self._capturer.capture(lambda: self._do(own))
            if set(self._step.optimizer.state) != states:
                why_not = "it trains other parameters from step to step"
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            why_not = "it cannot be captured as it is"
        finally:
            # What the optimizer begins with for a parameter would be made anew at each replay, and has not been made.
            for parameter in set(self._step.optimizer.state) - states:
                del self._step.optimizer.state[parameter]
        if why_not is not None:
            self._stop(why_not)
            return None
        return CapturedStep(replay, own)

    def _check_capturable(self, batch: Batch) -> str | None:
        """Return why steps cannot be captured, or ``None``: none of the reasons that are looked for is there.

        Forward and backward pass run once more for it, and change nothing.
        """
        host, self._tensors = _host_state(), self._current()
        self._gradient.buffers.save()
        try:
            with self._capturer.warmup():
                self._gradient.add(batch, *self._zeros())
        except WaitsError:
            return "it waits for the GPU"
        finally:
            self._model.zero_grad(set_to_none=True)
            self._gradient.buffers.restore()
        if host != _host_state():
            return "it draws random numbers on the host"
        return MOVES if self._moved() else None

    def _current(self) -> list[Tensor]:
        return [*self._model.parameters(), *self._model.buffers()]

    def _moved(self) -> bool:
        """Tell whether the model has other parameters or buffers than at the warm-up: graphs know only those."""
        now = self._current()
        return len(now) != len(self._tensors) or any(a is not b for a, b in zip(now, self._tensors, strict=True))

    def _warm_up(self, batch: Batch) -> str | None:
        """Let the model make what it keeps for a new shape (a table of positions, say), outside of any captured.

        Returns:
            Why the shape cannot be captured, or ``None``.
        """
        self._gradient.buffers.save()
        try:
            self._gradient.forward(batch)
        finally:
            self._gradient.buffers.restore()
        return MOVES if self._moved() else None

    def _do(self, batch: Batch) -> None:
        """Do one step, all of it on the device."""
        self._gradient.buffers.save()
        total, count = self._zeros()
        self._gradient.add(batch, total, count)
        outcome = self._step.update(self._gradients(), total, count, self._hold)
        for target, value in zip(self.outcome, outcome, strict=True):
            target.copy_(value)

    def _agrees(self, captured: CapturedStep, batch: Batch, step: int) -> bool:
        """Tell whether a replay gives the loss and norm of an eager step; neither changes the model."""
        self._gradient.buffers.save()
        try:
            self._hold.fill_(True)
            seed_everything(self._seed, step, 0)
            captured.replay()
            replayed = torch.stack([self.outcome.total, self.outcome.counted, self.outcome.norm])
            self._gradient.buffers.restore()

            seed_everything(self._seed, step, 0)
            total, count = self._zeros()
            self._gradient.add(batch, total, count)
            norm = torch.nn.utils.get_total_norm(self._gradients()) / count
        finally:
            self._hold.fill_(False)
            self._model.zero_grad(set_to_none=True)
            self._gradient.buffers.restore()
        agrees = torch.allclose(replayed, torch.stack([total, count, norm]), rtol=CLOSE, equal_nan=True)
        if not agrees:
            self._stop("a replay differs from the eager step")
        return agrees

    def _zeros(self) -> tuple[Tensor, Tensor]:
        """Return zeros for a summed loss and its count."""
        return torch.zeros_like(self.outcome.total), torch.zeros_like(self.outcome.counted)

    def _gradients(self) -> list[Tensor]:
        return [parameter.grad for parameter in self._parameters if parameter.grad is not None]

    def _relieve(self) -> bool:
        """Let go of the memory of all captured graphs, if there are any."""
        if not self._captures:
            return False
        self._stop("memory ran out")
        return True

    def _stop(self, why: str) -> None:
        """Replay nothing from now on."""
        self._say(f"trainer.cuda_graphs: steps are eager from now on: {why}")
        self._off = True
        self._capturer.wait()  # what is replayed still needs its memory
        self._captures.clear()
        self._model.zero_grad(set_to_none=True)
        self._capturer.recover()


def _shape(batch: Batch) -> Shape:
    sizes = [(tensor.shape, tensor.dtype) for tensor in batch.tensors()]
    return (batch.size, *batch.inputs, None, *batch.targets, *sizes)


def _host_state() -> tuple[object, ...]:
    """Return the state of the host's random generators."""
    name, keys, *rest = np.random.get_state(legacy=True)
    return torch.get_rng_state().numpy().tobytes(), random.getstate(), name, np.asarray(keys).tobytes(), *rest
