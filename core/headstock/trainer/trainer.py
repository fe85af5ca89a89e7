"""The trainer: one, final, and it knows nothing of tasks."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from torch import nn

from headstock.atomic import WriteError
from headstock.attribution import note_rows
from headstock.console import Bar, Console
from headstock.distributed import ALONE, Ranks
from headstock.trainer.config import TrainerConfig
from headstock.trainer.kernels.embedding_gradients import GradientBuffers, gradient_buffers
from headstock.trainer.kernels.training_kernels import training_kernels
from headstock.trainer.plan.accumulation import Window, total_steps, windows
from headstock.trainer.plan.batches import BatchPlan
from headstock.trainer.progress.meter import Meter
from headstock.trainer.progress.stop_signal import InterruptedRunError, StopSignal
from headstock.trainer.progress.time_limit import TimeLimit
from headstock.trainer.progress.training_log import TrainingLog
from headstock.trainer.replay.replayed_steps import ReplayedSteps
from headstock.trainer.state.best_so_far import BestSoFar
from headstock.trainer.state.checkpoints import CheckpointFolder, TrainerState
from headstock.trainer.state.model_state import moving_buffers
from headstock.trainer.state.training_state import TrainingState
from headstock.trainer.step.adamw import AdamW
from headstock.trainer.step.gradient import Gradient
from headstock.trainer.step.optimizer import learning_rate_factor, set_learning_rate
from headstock.trainer.step.out_of_memory import CostLimit, MemoryRelief
from headstock.trainer.step.update import OptimizerStep
from headstock_registry import HeadstockError

if TYPE_CHECKING:
    from headstock.trainer.parallel.ddp import DistributedGradient

SHOWN_METRICS = 5
"""Figures of a validation in its line of progress, beside the one that chooses; all are in ``metrics.jsonl``."""
MOST_SKIPPED_IN_A_ROW = 100
"""So many steps in a row that are not finite end a run with ``on_nonfinite: skip``: nothing will come of it."""


class TrainResult(NamedTuple):
    """How training went.

    Attributes:
        steps: Optimizer steps taken, earlier sessions of a resumed run included.
        best: The validation that chose the weights.
        examples_per_second: Training examples per second of training time in this session; 0 if it took no step.
        stopped_early: Whether ``patience`` ended it.
        out_of_time: Whether the time limit ended it.
        skipped_steps: How many of the steps changed nothing because something was not finite.
        cost_limit: Cost above which batches were cut because memory had run out; ``None`` if it never did.
    """

    steps: int
    best: BestSoFar
    examples_per_second: float
    stopped_early: bool
    out_of_time: bool
    skipped_steps: int
    cost_limit: int | None


@dataclass(frozen=True)
class Surroundings:
    """What the trainer is given besides model and data.

    Attributes:
        validate: Computes the validation metrics of the model as it is, ``loss`` among them.
        checkpoints: Where checkpoints go.
        log: Makes the log; takes how many bytes of an earlier ``metrics.jsonl`` still hold.
        console: Where to show progress.
        resume_hint: The command that resumes the run.
        name_example: Names a training example by its index, for an error.
        ranks: The processes of the run. Of ``checkpoints``, only the first one's are used.
        relief: What can be freed when memory runs out, in training and in validation.
        after_step: Told each optimizer step that was taken (from 1), and how many there will be.
        validates_first: Whether the weights that training starts from are validated too, and kept if none are better.
    """

    validate: Callable[[], dict[str, float]]
    checkpoints: CheckpointFolder
    log: Callable[[int], TrainingLog]
    console: Console
    resume_hint: str
    name_example: Callable[[int], str]
    ranks: Ranks = ALONE
    relief: MemoryRelief = field(default_factory=MemoryRelief)
    after_step: Callable[[int, int], None] = lambda step, steps: None
    validates_first: bool = False


@dataclass(frozen=True)
class TrainerParts:
    """What a trainer works with; :func:`~headstock.trainer.assembly.build_parts` makes them fit each other.

    Attributes:
        config: The recipe's ``trainer`` section, its precision settled.
        parameters: All that is trained, on the training device.
        optimizer: Updates them.
        limit: The cost above which batches are cut because memory ran out.
        gradient: Sums the gradient over the batches of a step.
        step: Takes an optimizer step eagerly.
        replay: Takes the optimizer steps that can be replayed as CUDA graphs; ``None`` where none can.
        state: Saves and loads the tensors that training changes.
        threads: Uses one thread while it is active if steps are that small; gives whether they are.
    """

    config: TrainerConfig
    parameters: Sequence[nn.Parameter]
    optimizer: AdamW
    limit: CostLimit
    gradient: Gradient | DistributedGradient
    step: OptimizerStep
    replay: ReplayedSteps | None
    state: TrainingState
    threads: Callable[[], AbstractContextManager[bool]]


class Trainer:
    """Updates parameters, validates, stops early, keeps the best weights.

    Args:
        model: Called with a batch in training mode, returns outputs and loss.
        plan: Which examples make up which batch.
        parts: Gradient, optimizer step, state.
        metric: Name of the validation metric that chooses, and whether ``higher`` or ``lower`` is better.
        around: Validation, checkpoints, log, console.
    """

    def __init__(
        self, model: nn.Module, plan: BatchPlan, parts: TrainerParts, metric: tuple[str, str], around: Surroundings
    ) -> None:
        self._model, self._plan, self._around = model, plan, around
        self.parts: Final = parts
        self._config, self._ranks = parts.config, around.ranks
        self._device = parts.parameters[0].device
        self._total_steps = total_steps(plan, parts.config)
        self._state = TrainerState(best=BestSoFar(metric=metric[0], better=metric[1]))
        self._seconds, self._examples_timed = 0.0, 0
        self._limit = TimeLimit(None, 0.0)

    def _gradient_buffers(self) -> AbstractContextManager[GradientBuffers]:
        """Return the gradient buffers of large embedding tables; none where sparse gradients cannot be used."""
        if self._config.compile or self._ranks.size > 1:  # neither takes sparse gradients
            return nullcontext(GradientBuffers([]))
        return gradient_buffers(self._model)

    def resume(self) -> None:
        """Resume from the newest sound checkpoint, if there is one; later ones are deleted.

        Raises:
            HeadstockError: all checkpoints are damaged, or they are of another model.
        """
        checkpoints, ranks = self._around.checkpoints, self._ranks
        found = ranks.from_first(self._newest)
        if found is None:
            return
        state = TrainerState.model_validate(found)
        self.parts.state.load(state.step)
        ranks.from_first(lambda: checkpoints.discard_after(state.step))
        self._state = state
        self.parts.limit.value = state.cost_limit
        self._around.console.line(f"resuming at step {state.step} of {self._total_steps}")

    def _newest(self) -> Any:
        """Return the state of the newest sound checkpoint as a JSON value, or ``None``."""
        state, problems = self._around.checkpoints.newest()
        for problem in problems:
            self._around.console.line(f"warning: {problem}; using the one before")
        return None if state is None else state.model_dump(mode="json")

    def fit(self) -> TrainResult:
        """Train to the end, or until patience runs out, and leave the model with the best weights.

        Raises:
            HeadstockError: the loss or gradient is not finite, or with ``on_nonfinite: skip`` too often.
            DoesNotFitError: an example is too large for the memory, even alone.
            WriteError: the disk is full or the folder cannot be written; the last checkpoint is kept.
            InterruptedRunError: SIGINT or SIGTERM came; a checkpoint was written.
        """
        self._limit = TimeLimit(self._config.time, self._state.seconds)
        log = self._around.log(self._state.log_bytes)
        # What is there now stays to the end; without this, full collections would walk over all of it between steps.
        froze = gc.get_freeze_count() == 0  # else whoever froze before thaws
        if froze:
            gc.collect()
            gc.freeze()
        try:
            with (
                self._gradient_buffers() as buffers,
                training_kernels(self._config, self._device),
                self.parts.threads() as single,
                StopSignal() as stop,
                self._around.console.bar("train", self._total_steps, self._state.step) as bar,
            ):
                if single:
                    self._around.console.line("training with 1 thread: no operation is large enough for several")
                if not self._state.finished:
                    self._train(log, stop, bar, buffers)
        except WriteError as error:
            steps = self._around.checkpoints.steps()
            kept = f"the checkpoint of step {steps[-1]} is kept" if steps else "no checkpoint was written yet"
            raise WriteError(f"{error}; {kept}; when that is put right: {self._around.resume_hint}") from error
        finally:
            if froze:
                gc.unfreeze()
            if self.parts.replay is not None:
                self.parts.replay.close()
            log.close()
        self.parts.state.load_best(self._state.step)
        return TrainResult(
            steps=self._state.step,
            best=self._state.best,
            examples_per_second=self._examples_timed / self._seconds if self._seconds else 0.0,
            stopped_early=self._state.step < self._total_steps and not self._state.out_of_time,
            out_of_time=self._state.out_of_time,
            skipped_steps=self._state.skipped,
            cost_limit=self._state.cost_limit,
        )

    def train_step(self, window: Window, meter: Meter, buffers: GradientBuffers) -> None:
        """Take one optimizer step: gradient summed over the window's batches, then the update; advance the state.

        Args:
            window: The batches of the step.
            meter: Adds up loss and gradient norm on the device.
            buffers: Gradient buffers of large embedding tables.

        Raises:
            HeadstockError: the task gives no loss.
            DoesNotFitError: an example is too large for the memory, even alone.
        """
        state, parts = self._state, self.parts
        position = max(state.step, int(self._limit.fraction * self._total_steps))
        set_learning_rate(parts.optimizer, learning_rate_factor(self._config, position, self._total_steps))
        outcome = None if parts.replay is None else parts.replay.try_replay(window.batches, state.step)
        try:
            outcome = outcome or parts.step.run(window.batches, state.step, buffers)
        except Exception as error:
            note_rows(error, map(self._around.name_example, chain(*window.batches)))
            raise
        if parts.limit.value != state.cost_limit:
            self._around.console.line(
                f"warning: memory ran out at step {state.step + 1}; batches of a cost above {parts.limit.value} are "
                "done in pieces from now on, with the same gradient"
            )
        meter.add(*outcome, state.step + 1)
        self._around.after_step(position + 1, self._total_steps)
        epoch, batch = (window.epoch + 1, 0) if window.ends_epoch else (window.epoch, window.end)
        moved = {"step": state.step + 1, "epoch": epoch, "batch": batch, "cost_limit": parts.limit.value}
        self._state = state.model_copy(update=moved)

    def _train(self, log: TrainingLog, stop: StopSignal, bar: Bar, buffers: GradientBuffers) -> None:
        config = self._config
        state = self._state
        meter = Meter(
            self._device,
            state.loss_total,
            state.loss_count,
            skips=config.on_nonfinite == "skip",
            skipped=state.skipped,
            in_a_row=state.skipped_in_a_row,
        )
        vote = self._ranks.stop_vote()
        if self._around.validates_first and self._state.best.value is None:
            with self._limit.pause(True):
                self._save(log, meter, at_end=False, late=False, improved=self._validate(log, self._state.epoch))
        self._model.train()
        clock = time.perf_counter()
        for window in windows(self._plan, config, self._state.epoch, self._state.batch):
            self.train_step(window, meter, buffers)
            size = sum(len(indices) for indices in window.batches)
            self._examples_timed += size
            step = self._state.step
            self._limit.end_step()
            late = self._limit.reached
            at_end, stopping = late or step == self._total_steps, vote.agreed(stop.number)
            at_evaluation = step % config.evaluate_every == 0 if config.evaluate_every else window.ends_epoch
            validates = at_end or at_evaluation or self._limit.wants_validation
            saves = validates or step % config.checkpoint_every == 0 or stopping is not None
            if not (saves or step % config.log_every == 0):
                bar.advance(1, size)
                continue
            self._check_finite(meter)
            self._seconds += time.perf_counter() - clock
            shown = ""
            if validates or step % config.log_every == 0:
                shown = self._log_training(log, meter, window.epoch)
            bar.advance(1, size, shown)
            if saves:
                self._ranks.broadcast(moving_buffers(self._model))
            with self._limit.pause(validates):
                improved = validates and self._validate(log, window.epoch)
                if self.parts.replay is not None:
                    self.parts.replay.check_tensors()
                if saves:
                    self._save(log, meter, at_end, late, improved)
            if self._state.finished:
                vote.close()
                return
            if stopping is not None:
                raise InterruptedRunError(
                    f"stopped at step {step} of {self._total_steps}, all saved; "
                    f"resume with: {self._around.resume_hint}",
                    stopping,
                )
            self._model.train()
            clock = time.perf_counter()

    def _save(self, log: TrainingLog, meter: Meter, at_end: bool, late: bool, improved: bool) -> None:
        total, count = meter.sums()
        update = {
            "loss_total": total,
            "loss_count": count,
            "log_bytes": log.size,
            "finished": at_end or self._out_of_patience(),
            "seconds": self._limit.elapsed if self._config.time is not None else 0.0,
            "out_of_time": late and self._state.step < self._total_steps,
        }
        self._state = self._state.model_copy(update=update)
        log.flush()
        self.parts.state.save(self._state, improved)

    def _log_training(self, log: TrainingLog, meter: Meter, epoch: int) -> str:
        rate = float(self.parts.optimizer.param_groups[0]["lr"])
        values = meter.read()
        if self._config.on_nonfinite == "skip":
            values["skipped_steps"] = self._state.skipped
        log.metrics("train", self._state.step, epoch, {**values, "learning_rate": rate})
        log.speed(self._state.step, {"examples_per_second": self._examples_timed / max(self._seconds, 1e-9)})
        return f"loss {values['loss']:.4f}"

    def _check_finite(self, meter: Meter) -> None:
        """Stop at steps that were not finite, or with ``on_nonfinite: skip`` say how many there were."""
        found = meter.unsound()
        if found.first is None and found.in_a_row < MOST_SKIPPED_IN_A_ROW:
            new = found.skipped - self._state.skipped
            if new:
                self._around.console.line(
                    f"warning: skipped {new} step{'s' if new > 1 else ''} up to step {self._state.step} whose loss or "
                    f"gradient was not finite; {found.skipped} in all"
                )
            update = {"skipped": found.skipped, "skipped_in_a_row": found.in_a_row}
            self._state = self._state.model_copy(update=update)
            return
        stops = found.first is not None
        where = f"at step {found.first}" if stops else f"in {found.in_a_row} steps in a row"
        state, _ = self._around.checkpoints.newest()
        kept = f"the last good checkpoint (step {state.step}) is kept" if state else "no checkpoint was written yet"
        other = "; trainer.on_nonfinite=skip leaves such steps out" if stops else ""
        raise HeadstockError(
            f"the loss or its gradient is not finite {where}; {kept}; try a lower trainer.learning_rate, "
            f"a longer trainer.warmup_ratio, a smaller trainer.max_grad_norm or trainer.precision=fp32{other}"
        )

    def _validate(self, log: TrainingLog, epoch: int) -> bool:
        """Validate, record, and return whether these weights are the best so far."""
        step = self._state.step
        metrics = self._around.validate()
        log.metrics("validation", step, epoch, metrics)
        best = self._state.best.after(metrics, step)
        self._state = self._state.model_copy(update={"best": best})
        mark = " (best so far)" if best.step == step else ""
        shown = {*list(metrics)[:SHOWN_METRICS], best.metric}
        figures = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items() if name in shown)
        self._around.console.line(f"step {step}/{self._total_steps}, validation: {figures}{mark}")
        return best.step == step

    def _out_of_patience(self) -> bool:
        return self._config.patience is not None and self._state.best.stale >= self._config.patience
