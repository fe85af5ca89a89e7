"""What of a model and its optimizer goes into checkpoints and comes back, on one rank or several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from headstock.distributed import Ranks
from headstock.trainer.state.checkpoints import BEST, MODEL, OPTIMIZER, CheckpointFolder, TrainerState
from headstock.trainer.state.model_state import load_state, trained_state
from headstock.trainer.step.optimizer import load_optimizer_tensors, optimizer_tensors, parameters_of

ParametersOf = Callable[[Iterable[str]], Mapping[str, Tensor]]
"""Returns for names of tensors the parameters that they are for or belong to."""


class TrainingState:
    """Saves and loads the tensors that training changes.

    Where all ranks have the same tensors, the first one writes and reads them. Where each has a shard, each writes and
    reads its own. Both ways read what the other has written, on any number of ranks.

    Args:
        model: What is trained.
        optimizer: What trains it.
        checkpoints: Where they are kept.
        ranks: The processes of the run.
        device: Where the model is.
        sharded: Whether the model is sharded over the ranks.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        checkpoints: CheckpointFolder,
        ranks: Ranks,
        device: torch.device,
        sharded: bool,
    ) -> None:
        self._model, self._optimizer, self._checkpoints = model, optimizer, checkpoints
        self._ranks, self._device, self._sharded = ranks, device, sharded

    def save(self, state: TrainerState, is_best: bool) -> None:
        """Write a checkpoint; all ranks take part.

        Raises:
            WriteError: the folder cannot be written; the last checkpoint is untouched.
            HeadstockError: the model is sharded, and a rank does not see the folder.
        """
        model, optimizer = trained_state(self._model), optimizer_tensors(self._optimizer)
        if self._sharded:
            self._checkpoints.save_shards(state, model, optimizer, is_best, self._ranks)
        else:
            self._ranks.from_first(partial(self._checkpoints.save, state, model, optimizer, is_best))

    def load(self, step: int) -> None:
        """Put back model and optimizer as of a checkpoint; all ranks take part.

        Raises:
            HeadstockError: they are of another model, or cannot be read.
        """
        self._load_model(step, MODEL)
        tensors = self._tensors(step, OPTIMIZER, partial(parameters_of, self._optimizer))
        load_optimizer_tensors(self._optimizer, tensors)

    def load_best(self, step: int) -> None:
        """Put the best weights as of a checkpoint into the model; all ranks take part.

        Raises:
            HeadstockError: they are not what was written.
        """
        self._load_model(step, BEST)

    def _load_model(self, step: int, part: str) -> None:
        parameters = dict(self._model.named_parameters())
        load_state(self._model, self._tensors(step, part, lambda _: parameters))

    def _tensors(self, step: int, part: str, parameters: ParametersOf) -> dict[str, Tensor]:
        """Return a part of a checkpoint, whole or in shards as the model is."""
        read = partial(self._checkpoints.read, step, part)
        if not self._sharded:
            return self._ranks.spread(read, self._device)
        from headstock.trainer.parallel.fsdp import shard_tensors
        from headstock.trainer.state.sharded_files import read_shards

        files = self._ranks.from_first(lambda: [str(path) for path in self._checkpoints.shards(step, part)])
        if files:
            return read_shards([Path(file) for file in files], parameters)
        whole = self._ranks.spread(read, torch.device("cpu"))
        return shard_tensors(whole, parameters(whole))
