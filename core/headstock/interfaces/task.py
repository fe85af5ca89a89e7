"""A task: what is learned."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, final

from torch import Tensor, nn

from headstock.interfaces.backbone import Backbone
from headstock.interfaces.component import Component
from headstock.interfaces.values.batch import Batch, Example, Features, Loss
from headstock.interfaces.values.details import Details
from headstock.interfaces.values.padding import pad_stack
from headstock.interfaces.values.request import Request
from headstock.interfaces.values.schema import Column, Metric

Row = Mapping[str, Any]
"""One example as data holds it: values by column name."""

Splits = Mapping[str, Sequence[Row]]
"""Rows by split: ``train``, ``validation`` and ``test``.

Rows of a class of their own may have a method ``where(index)`` that returns a row's place for messages (file and line),
and an attribute ``notes``: lines that say what was left out or guessed in reading, shown to the user.
"""


class Task(Component):
    """Data schema, head, loss, decoding and metrics of one kind of problem.

    The engine encodes; a task never calls the backbone. *Reference* below is what a row says is right and
    *prediction* what the model says, both JSON values of the same kind, as :meth:`score` compares them.

    Attributes:
        modality: Backbones of this modality fit.
        columns: The data's columns, the main input first. See :meth:`columns_for` for those that the data decides.
        metrics: What :meth:`score` returns; the first one chooses the best checkpoint unless the recipe or
            :attr:`deciding_metric` names another.
        default_backbone: Name of the backbone that is used when a recipe names none.
        fallback_backbones: Names of those that are tried in turn where the default cannot be made
            (:meth:`Backbone.unavailable`) or does not suit the data (:meth:`Backbone.unsuitable`), such as one from
            scratch; a line says so. Without any the run ends with what is missing. They go with the
            ``default_backbone`` of their class: a subclass with another default names its own.
        labels_are: What :meth:`label_counts` counts, in the plural, for people.
        pipeline_tag: The Hub's name for this task, for the model card; ``None`` where the Hub has none.
        formats: Forms of data that :meth:`read` reads beyond the common ones: name for ``data.format``, and the endings
            by which files of that form are found in a folder (none for a form that is a whole folder).
        cut: How splits are cut where the recipe does not say it (``data.cut``): ``random``, or ``ordered`` for data
            that goes on in time, whose first rows are trained on and last ones tested.
        reads: Which features :meth:`forward` reads: ``sequence`` (with its mask), ``pooled``, or both. Where the
            features of a frozen backbone are kept on disk, a sequence that is not read is left out.
    """

    modality: ClassVar[str]
    columns: ClassVar[tuple[Column, ...]]
    metrics: ClassVar[tuple[Metric, ...]]
    default_backbone: ClassVar[str]
    fallback_backbones: ClassVar[tuple[str, ...]] = ()
    labels_are: ClassVar[str] = "labels"
    pipeline_tag: ClassVar[str | None] = None
    formats: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    cut: ClassVar[Literal["random", "ordered"]] = "random"
    reads: ClassVar[tuple[str, ...]] = ("sequence", "pooled")

    _settled: tuple[Column, ...] | None = None

    def __init__(self, config: Any) -> None:
        self.config = config

    @property
    def deciding_metric(self) -> str:
        """Name of the metric that chooses the best checkpoint unless the recipe names another; the first by default.

        :meth:`learn` or :meth:`restore` has run.
        """
        return self.metrics[0].name

    # Data

    @abstractmethod
    def sample(self) -> Splits:
        """Return a small data set that needs no network and no files from elsewhere."""

    def read(self, request: Request) -> Splits | None:
        """Return the rows of data that lies in a form of this task's own field, or ``None`` if it does not.

        Training, evaluation and prediction all ask it before the common formats (tables, folders) are tried: for what
        the user named, and for each file or folder in it that is called like a split. Data that says nothing of splits
        is ``train``, from which the others are cut. :func:`headstock.kits.cached_rows` keeps the rows of a large text
        file on disk; :class:`headstock.kits.PlacedRows` says where rows in memory come from.

        Raises:
            DataError: the data is in such a form and is damaged or incomplete; names the file.
        """
        del request
        return None

    def columns_for(self, available: Sequence[str]) -> tuple[Column, ...]:
        """Return the columns to read of training data that has these; the declared ones by default.

        For tasks whose columns the data decides, such as tables ("all other columns"). It is asked once, when training
        data is read. What it returns is :attr:`data_columns` from then on and is kept with the model, so that
        evaluation and prediction read the same columns.

        Args:
            available: The columns of the data, those that the task declares or ``data.columns`` maps by the task's name
                for them. The one that ``data.group`` names is left out.

        Returns:
            The columns, the main input first: declared ones, and others of ``available``. Rows have no other cells, and
            may lack those of columns that are not ``required``.

        Raises:
            DataError: the data lacks what the task needs.
        """
        del available
        return self.columns

    @property
    def data_columns(self) -> tuple[Column, ...]:
        """The columns that rows have: the declared ones, until training data settles others (:meth:`columns_for`)."""
        return self.columns if self._settled is None else self._settled

    @final
    def settle(self, columns: Sequence[Column]) -> None:
        """Keep the columns that training data has settled; the engine calls it, also before :meth:`restore`.

        Raises:
            ValueError: there are none, the first is no input, or two have the same name.
        """
        names = [column.name for column in columns]
        if not names or columns[0].role != "input" or len(set(names)) < len(names):
            raise ValueError(
                f"{type(self).__name__}.columns_for must return columns with names of their own, an input first; "
                f"it returned {[f'{column.name} ({column.role})' for column in columns]}"
            )
        self._settled = tuple(columns)

    def group(self, row: Row) -> Hashable | None:
        """Return what the row is one of several of (a patient, a speaker, a series), or ``None``: it is one by itself.

        Rows of a group stay in one split when splits are cut from training data; where splits are given, groups that
        they share are said. A recipe's ``data.group`` goes before it. Asked before :meth:`learn`, of the same row
        always with the same answer.

        Raises:
            BadExampleError: the row does not say it; it is then one by itself.
        """
        del row
        return None

    @abstractmethod
    def inputs(self, row: Row) -> Mapping[str, Any]:
        """Return what the backbone's ``preprocess`` takes.

        Raises:
            BadExampleError: the row's input is empty or of the wrong type.
        """

    @abstractmethod
    def reference(self, row: Row) -> Any:
        """Return what is right for this row, as a JSON value.

        Raises:
            BadExampleError: the row has no label, or one that cannot be read.
        """

    @abstractmethod
    def learn(self, references: Sequence[Any]) -> None:
        """Learn from the training references what the task needs (a label set, class weights, an alphabet).

        What is decided beside, say it with :func:`headstock.note`; people then read it before training.
        """

    def learn_inputs(self, inputs: Iterable[Mapping[str, Any]]) -> None:
        """Learn from what :meth:`inputs` made of the training rows, where references do not say all.

        Called right after :meth:`learn`; the default learns nothing. What is learnt belongs to :meth:`state`.
        """
        del inputs

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return what :meth:`learn` and :meth:`learn_inputs` learnt, as JSON values."""

    @abstractmethod
    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state` returned."""

    def canonical(self, reference: Any) -> Any:
        """Return a reference in the spelling that was learnt, where one value has several (``1.0``, ``1``).

        Asked of every reference, also in evaluation, after :meth:`learn` or :meth:`restore` and before it is encoded
        and scored; the default changes nothing.
        """
        return reference

    def divergence(self, outputs: dict[str, Tensor], reference: dict[str, Tensor], batch: Batch) -> Loss:
        """Return how far the distributions in ``outputs`` lie from those in ``reference``, another output for a batch.

        The Kullback-Leibler divergence of what is predicted, summed over what :meth:`loss` counts and weighted as it
        does, so that both have one count; differentiable in both. Methods that compare outputs ask it (R-Drop, virtual
        adversarial training, distillation).

        Raises:
            NotImplementedError: the task has none, which is the default; such methods then refuse it.
        """
        raise NotImplementedError

    def label_counts(self, references: Sequence[Any]) -> Mapping[str, int]:
        """Return how often each label occurs: classes, types of entities, characters.

        It is shown by split before training, and asked of single references when splits are cut, before :meth:`learn`,
        so that every label stays in the training data. The default is no labels.
        """
        del references
        return {}

    def bind(self, backbone: Backbone) -> None:
        """Take from the backbone what references are encoded with (its tokens, say).

        Called once the backbone is made, before anything is encoded; the default takes nothing.
        """
        del backbone

    @abstractmethod
    def encode(self, reference: Any, example: Example) -> dict[str, Tensor]:
        """Turn a reference into target tensors without a batch dimension.

        Args:
            reference: What :meth:`reference` returned.
            example: The preprocessed input, for targets that must be aligned with it.

        Raises:
            NoTargetError: the reference has something that training data had not (name it), or that the model cannot
                say. Outside of training such an example is scored without a loss, and counts as wrong.
            BadExampleError: the reference does not fit the example.
        """

    def collate(self, targets: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Stack target tensors; those of differing length are padded at the end with -100."""
        return {name: pad_stack([target[name] for target in targets], -100) for name in targets[0]}

    def augment(self, batch: Batch) -> Batch:
        """Change a collated training batch at random (torch's global generator, which the trainer seeds per step)."""
        return batch

    @property
    def augments(self) -> bool:
        """Whether :meth:`augment` changes anything; where it does, what a frozen backbone makes of data differs."""
        return type(self).augment is not Task.augment

    # Model

    @abstractmethod
    def build_head(self, backbone: Backbone) -> nn.Module:
        """Return a new head for ``backbone.feature_dim``; :meth:`learn` or :meth:`restore` has run."""

    @abstractmethod
    def forward(self, head: nn.Module, features: Features, batch: Batch) -> dict[str, Tensor]:
        """Return the head's outputs, each with the batch dimension first. ``batch.targets`` may be empty."""

    @abstractmethod
    def loss(self, outputs: dict[str, Tensor], batch: Batch) -> Loss:
        """Return the summed loss and its count, never a mean."""

    # Predictions

    @abstractmethod
    def decode(self, outputs: dict[str, Tensor], batch: Batch) -> list[Any]:
        """Return one prediction an example, as JSON values. Tensors are on the CPU, floats in float32."""

    def decode_top(self, outputs: dict[str, Tensor], batch: Batch, count: int) -> list[Any]:
        """Return for each example the ``count`` best answers, in the form of :meth:`decode`, for ``predict``'s top_k.

        Only tasks that rank their answers implement it.
        """
        raise NotImplementedError(f"{type(self).__name__} does not rank its answers")

    @abstractmethod
    def score(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        """Return a figure for each of :attr:`metrics`."""

    def baseline(self, references: Sequence[Any], inputs: Iterable[Mapping[str, Any]]) -> list[Any] | None:
        """Return what would be predicted without a look at the inputs, so that every figure has one to stand beside.

        The most frequent class for all, no object, silence; where the input itself is an answer (translation), that.
        :meth:`learn` has run.

        Args:
            references: What is right for the training examples.
            inputs: What :meth:`inputs` returned for the examples to predict.

        Returns:
            A prediction for each of ``inputs``, as :meth:`decode` returns them; the default is ``None``: there is none.
        """
        del references, inputs
        return None

    def details(self, predictions: Sequence[Any], references: Sequence[Any]) -> Details:
        """Return metrics per class and the like, for the report."""
        del predictions, references
        return Details()

    def to_pipeline(self, prediction: Any, row: Row) -> Any:
        """Return a prediction in the form that Hugging Face's pipelines and inference API use for this task."""
        del row
        return prediction
