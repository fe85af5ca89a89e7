"""A tuned model in use: predictions and evaluation of a finished run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from headstock.attribution import noting_plugin
from headstock.console import Console
from headstock.data import DataConfig, GivenRows, Table, given_row, load_evaluation, settled_columns
from headstock.engine.data_report import note_lines
from headstock.engine.models.model_check import check_link
from headstock.engine.models.model_files import SavedModel, load_model
from headstock.engine.models.module import TuningModule
from headstock.engine.passes.predictions import Evaluation, evaluate_split, predict_split
from headstock.engine.run_directory import RunDirectory
from headstock.engine.setup import choose_device
from headstock.interfaces import BadExampleError, Batch, Task
from headstock.interfaces.remote_code import trusting_remote_code
from headstock.preprocessing.prepare import PreparedSplit, prepare_split
from headstock.preprocessing.reading import Policy, read_split
from headstock.recipe.errors import validated
from headstock.recipe.source import parse_recipe, read_yaml
from headstock.trainer.config import TrainerConfig
from headstock.trainer.step.precision import autocast, settle_precision
from headstock_registry import Catalogue, HeadstockError, load_catalogue

AT_ONCE = 32
"""Inputs whose outputs are made together."""


class Predictions(NamedTuple):
    """What a model says of the rows of a table.

    Attributes:
        values: One prediction a row, in order; ``None`` for a row that cannot be used.
        skipped: One line for each row that cannot be used, with its place.
    """

    values: list[Any]
    skipped: list[str]


class TunedModel:
    """The model of a finished run. Made by :func:`load`."""

    def __init__(self, saved: SavedModel, module: TuningModule, config: TrainerConfig, data: DataConfig) -> None:
        self._saved, self._module, self._config = saved, module, config
        self.data = data
        """The run's own data options. How they say that data is read holds for other data too."""

    @property
    def task(self) -> Task:
        """The task, with what it learnt."""
        return self._module.task

    def predict(
        self,
        inputs: Sequence[Any],
        *,
        on_bad_example: Policy = "error",
        top_k: int | None = None,
        quiet: bool = True,
    ) -> list[Any]:
        """Return one prediction an input, in order, in Hugging Face's wire format.

        Args:
            inputs: Values of the task's main column (texts, file paths, arrays), or mappings of several columns, by the
                task's names or those that the run's data had.
            on_bad_example: ``skip`` gives ``None`` for an input that cannot be used, instead of an error.
            top_k: Give so many answers an input, the best first; for tasks that rank answers, such as classification.
            quiet: Show no progress.

        Raises:
            BadExampleError: an input cannot be used; names it by its position.
            HeadstockError: ``top_k`` is given and the task does not rank answers.
            TypeError: ``inputs`` is one text instead of a list of them.
        """
        if isinstance(inputs, str | bytes | Mapping):
            raise TypeError("predict takes a list of inputs; for a single one write predict([...])")
        rows: list[dict[str, Any]] = []
        problems: dict[int, str] = {}
        for number, value in enumerate(inputs):
            try:
                rows.append(given_row(value, self.task.data_columns, self.data.columns))
            except BadExampleError as error:
                rows.append({})
                problems[number] = str(error)
        columns = tuple(column.name for column in self.task.data_columns)
        table = Table(GivenRows("input", rows, columns, problems=problems))
        return self.predict_table(table, on_bad_example=on_bad_example, top_k=top_k, quiet=quiet).values

    def table(self, data: str | Path | Mapping[str, Any]) -> Table:
        """Return rows to predict, read as a run reads its data; what is right for them need not be known.

        Args:
            data: As :meth:`evaluate` takes it; a folder may also just hold files.

        Raises:
            DataError: the data cannot be used.
        """
        return self._read(self._data_config(data), need_targets=False)

    @noting_plugin()
    def predict_table(
        self,
        table: Table,
        *,
        on_bad_example: Policy | None = None,
        top_k: int | None = None,
        quiet: bool = True,
    ) -> Predictions:
        """Return one prediction a row, in order. See :meth:`predict`.

        Args:
            table: What :meth:`table` returns.
            on_bad_example: What to do with a row that cannot be used; by default what the run did.
            top_k: Give so many answers a row.
            quiet: Show no progress.
        """
        if top_k is not None and top_k < 1:
            raise HeadstockError(f"top_k must be 1 or more, not {top_k}")
        if top_k is not None and type(self.task).decode_top is Task.decode_top:
            raise HeadstockError(f"{self._saved.task.name} does not rank answers, so there is no top_k")
        console = Console(quiet)
        policy = on_bad_example or self.data.on_bad_example
        split = self._prepare("input", table, console, policy, predicting=True)
        values: list[Any] = [None] * len(table)
        if len(split):
            predictions, _ = predict_split(self._module, split, self._config, console, "predict", top_k=top_k)
            for row, prediction in zip(split.split.rows, predictions, strict=True):
                values[row] = self.task.to_pipeline(prediction, table[row])
        return Predictions(values, split.split.skipped)

    def outputs(self, inputs: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Tensor]]:
        """Yield the task's outputs for raw inputs, a few at a time and in order, on the CPU and without gradients.

        Args:
            inputs: What ``Task.inputs`` returns for rows.

        Raises:
            BadExampleError: an input cannot be used.
        """
        backbone = self._module.backbone
        device = next(self._module.parameters()).device
        waiting = iter(inputs)
        while chosen := list(islice(waiting, AT_ONCE)):
            examples = backbone.preprocess_many(chosen)
            batch = Batch(backbone.collate(examples), {}, len(examples)).to(device)
            with torch.no_grad(), autocast(self._config, device):
                outputs = self._module(batch).outputs
            yield {name: value.float().cpu() for name, value in outputs.items()}

    @noting_plugin()
    def evaluate(self, data: str | Path | Mapping[str, Any], *, quiet: bool = True) -> Evaluation:
        """Return metrics, predictions and details on other data.

        Args:
            data: A file or folder, or a mapping as in a recipe's ``data`` section. Of a folder with several splits,
                or of a Hub data set, the test split is used. How the run read its data (``format``, ``columns`` …)
                holds where the mapping says nothing else; ``columns`` are added to the run's own.
            quiet: Show no progress.

        Raises:
            DataError: the data cannot be used.
        """
        config = self._data_config(data)
        console = Console(quiet)
        with console.current():
            table = self._read(config)
        for note in table.notes:
            console.line(note)
        split = self._prepare("evaluation", table, console, config.on_bad_example)
        return evaluate_split(self._module, split, self._config, console, "evaluate")

    def _data_config(self, data: str | Path | Mapping[str, Any]) -> DataConfig:
        """Return what is said of other data, above what the run said of the form of its own."""
        given: dict[str, Any] = {"path": str(data)} if isinstance(data, str | Path) else dict(data)
        options = {**self.data.for_other_data(given.get("hub")), **given}
        columns = given.get("columns") or {}
        if isinstance(columns, Mapping):
            options["columns"] = {**self.data.columns, **columns}
        return validated(DataConfig, options, "data")

    def _read(self, config: DataConfig, need_targets: bool = True) -> Table:
        return load_evaluation(config, settled_columns(self.task), reader=self.task, need_targets=need_targets)

    def _prepare(
        self, name: str, table: Table, console: Console, policy: Policy, predicting: bool = False
    ) -> PreparedSplit:
        split = read_split(name, table, self.task, policy, predicting)
        prepared = prepare_split(split, self._module.backbone, self.task, policy, console, cached=False)
        for line in note_lines(name, prepared):
            console.line(line)
        return prepared


def load(
    run_dir: str | Path,
    *,
    device: str = "auto",
    catalogue: Catalogue | None = None,
    trust_remote_code: bool = False,
) -> TunedModel:
    """Load the tuned model of a finished run.

    Args:
        run_dir: The run directory.
        device: ``auto``, ``cpu`` or ``cuda``.
        catalogue: The installed plugins, if they are loaded already.
        trust_remote_code: Let Python code run that comes with the backbone's weights. The run cannot say so.

    Raises:
        HeadstockError: there is no finished run, one of its files is damaged, or what it needs is not installed.
    """
    directory = RunDirectory(Path(run_dir))
    if not directory.finished and (directory.recipe.exists() or directory.model.exists()):
        raise HeadstockError(f"{run_dir} is not finished; resume with: headstock run {run_dir} --resume")
    check_link(directory.recipe)
    directory.require_sound()
    config, data = _settings(directory.recipe)
    with trusting_remote_code(trust_remote_code):
        saved, module = load_model(catalogue or load_catalogue(), directory.model)
    place = choose_device(device)
    module.to(place)
    return TunedModel(saved, module, settle_precision(config, module, place), data)


def _settings(path: Path) -> tuple[TrainerConfig, DataConfig]:
    """Return how the run made batches and read its data; the defaults where its recipe was not kept."""
    if not path.exists():
        return TrainerConfig(), DataConfig.model_validate({})
    recipe = parse_recipe(read_yaml(path), str(path))
    try:
        return validated(TrainerConfig, recipe.trainer, "trainer"), validated(DataConfig, recipe.data, "data")
    except HeadstockError as error:
        raise HeadstockError(f"{path}: {error}") from error
