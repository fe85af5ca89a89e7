"""A method: how a training batch becomes a loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from headstock.interfaces.component import Component
from headstock.interfaces.values.batch import Batch, Features, Loss, StepOutput


class TrainingModel(ABC):
    """The model in a training step, as a method sees it.

    Of several methods the first one in the recipe is the outermost: what it asks for with :meth:`loss` is what the
    second one makes of the batch, and so on; the innermost is the task's own loss. :meth:`embed` gives the input as the
    methods outside have changed it.
    """

    @abstractmethod
    def embed(self, batch: Batch) -> Tensor:
        """Return the continuous input (B, …): token embeddings, pixels, a waveform or a spectrogram."""

    @abstractmethod
    def loss(
        self, batch: Batch, embedded: Tensor | None = None, parameters: Mapping[str, Tensor] | None = None
    ) -> Loss:
        """Return what the methods inside this one, and then the task, make of a batch.

        Args:
            batch: The batch, with targets.
            embedded: Stands for what :meth:`embed` returns.
            parameters: Stand for the model's own, by the names of :meth:`parameters`.
        """

    @abstractmethod
    def forward(
        self, batch: Batch, embedded: Tensor | None = None, parameters: Mapping[str, Tensor] | None = None
    ) -> StepOutput:
        """Return the task's outputs for a batch and its loss, past the methods inside this one; see :meth:`loss`."""

    @abstractmethod
    def features(self, batch: Batch, embedded: Tensor | None = None) -> Features:
        """Return what the backbone makes of a batch."""

    @property
    @abstractmethod
    def compares(self) -> bool:
        """Whether the task has a :meth:`divergence`."""

    @abstractmethod
    def divergence(self, outputs: Mapping[str, Tensor], reference: Mapping[str, Tensor], batch: Batch) -> Loss:
        """Return :meth:`headstock.Task.divergence` of two outputs of :meth:`forward` for the same batch."""

    @property
    @abstractmethod
    def changed_inside(self) -> bool:
        """Whether a method inside this one changes the loss, so that :meth:`forward` is not all there is to it."""

    @property
    @abstractmethod
    def task_state(self) -> Mapping[str, Any]:
        """What the task has learnt (:meth:`headstock.Task.state`): labels, an alphabet."""

    @property
    @abstractmethod
    def reads(self) -> tuple[str, ...]:
        """Which features the task reads (:attr:`headstock.Task.reads`)."""

    @abstractmethod
    def parameters(self) -> dict[str, nn.Parameter]:
        """Return what is trained, by name."""


class Method(Component):
    """Changes how a training batch becomes a loss, or what becomes of the weights after a step.

    It knows nothing of modalities: it sees the continuous input, the outputs and the loss. Evaluation is the task's
    own. What is random comes from torch's generator, which the trainer seeds for each batch; a method keeps no other
    state than tensors in :attr:`memory`, so that a resumed run goes on bit for bit.

    Attributes:
        runs_encoder: Whether it needs the backbone in each step. Then features of a frozen one are not kept on disk.
        whole_weights: Whether it needs each parameter whole, so that it cannot be used where they are sharded
            (``trainer.fsdp``).
        moves_weights: Whether it gives ``model.loss`` other parameters. Such a method does not go with another one that
            does, with those that need the encoder, or with gradient checkpointing, whose second forward pass would see
            the weights as they were.
        across_batch: Whether the loss of an example depends on the others of its batch, so that a batch that is cut in
            pieces (where memory runs out, over ranks) has another gradient.
        memory: Module whose buffers are the method's state; saved with each checkpoint.
    """

    runs_encoder: ClassVar[bool] = False
    whole_weights: ClassVar[bool] = False
    moves_weights: ClassVar[bool] = False
    across_batch: ClassVar[bool] = False

    def __init__(self, config: Any) -> None:
        self.config = config
        self.memory = nn.Module()

    def begin(self, model: TrainingModel, inputs: Iterable[Mapping[str, Any]]) -> None:
        """Look at model and data before the first step, and fill :attr:`memory`. The default does nothing.

        Args:
            model: The model.
            inputs: What the task made of the training rows, one by one; ``batch.indices`` count them.

        Raises:
            HeadstockError: the method does not go with this model.
        """
        del model, inputs

    def loss(self, model: TrainingModel, batch: Batch) -> Loss:
        """Return the loss of a training batch; it is asked for gradients once.

        The default is that of the methods inside this one. Gradients within are taken with ``torch.autograd.grad``.
        Weights and their ``grad`` are left as they are.
        """
        return model.loss(batch)

    def rate_factors(self, model: TrainingModel) -> Mapping[str, float]:
        """Return what to multiply the learning rate of parameters with, by name; those left out keep theirs."""
        del model
        return {}

    def after_step(self, model: TrainingModel, step: int, steps: int) -> None:
        """Do something after an optimizer step, without gradients; by default nothing.

        Args:
            model: The model.
            step: Which step it was, from 1. Where time ends a run, steps are passed over, as in the schedule of rates.
            steps: How many there are.
        """
        del model, step, steps

    def exchange(self, model: TrainingModel) -> None:
        """Exchange the weights that are trained with those that are validated and in the end kept, in place.

        Asked before each validation and after it, so that done twice all is as before, and once at the end. The default
        is that the weights are validated as they are trained.
        """
        del model
