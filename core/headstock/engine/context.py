"""What the parts of a run share: recipe, folder, processes, and then the model and the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from headstock.console import Console
from headstock.distributed import Ranks
from headstock.engine.models.module import TuningModule
from headstock.engine.run_directory import RunDirectory
from headstock.engine.setup import PreparedData
from headstock.recipe.resolve import ResolvedRecipe
from headstock.report.result import RunResult
from headstock_registry import Catalogue


@dataclass(frozen=True)
class RunContext:
    """A run whose folder is locked, before anything is read.

    Attributes:
        catalogue: The installed plugins.
        resolved: The recipe, checked.
        directory: Where the run lies.
        console: Where to show progress.
        ranks: The processes of the run.
        device: Where this process computes.
        resume: Whether to resume a run that is in the folder.
        force: Whether to replace it.
        started: When the run began, on the clock that ``time.perf_counter`` reads.
    """

    catalogue: Catalogue
    resolved: ResolvedRecipe
    directory: RunDirectory
    console: Console
    ranks: Ranks
    device: torch.device
    resume: bool
    force: bool
    started: float

    @property
    def sharded(self) -> bool:
        """Whether each rank holds a shard of the model."""
        return self.resolved.trainer.fsdp and self.ranks.size > 1

    def interrupted(self, resumable: bool = True) -> str:
        """Return what to say after a Ctrl-C that the trainer does not handle: before training, after it, or a second.

        Args:
            resumable: Whether the folder holds a run by now.
        """
        if not resumable:
            return "stopped; nothing was trained yet"
        saved = any(self.directory.checkpoints.glob("step-*"))
        so_far = "all up to the last checkpoint is saved" if saved else "nothing was trained yet"
        return f"stopped; {so_far}; resume with: headstock run {self.directory.path} --resume"

    def result_of_first(self, make: Callable[[], RunResult]) -> RunResult:
        """Return on every rank the result that ``make`` returns on the first."""
        content = self.ranks.from_first(lambda: make().model_dump(mode="json"))
        return RunResult.model_validate({"path": self.directory.path, **content})


@dataclass(frozen=True)
class PreparedRun:
    """A run that is ready to be trained.

    Attributes:
        context: The run; the precision of its recipe is settled.
        module: The model, on its device.
        data: The preprocessed splits.
        round_costs: Whether batches are cut by costs that are rounded up, so that shapes recur.
    """

    context: RunContext
    module: TuningModule
    data: PreparedData
    round_costs: bool
