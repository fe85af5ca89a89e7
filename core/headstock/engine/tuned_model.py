"""A tuned model in use: predictions and evaluation of a finished run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headstock.attribution import noting_plugin
from headstock.console import Console
from headstock.data import DataConfig, MemoryRows, Table, load_evaluation
from headstock.engine.data_report import note_lines
from headstock.engine.model_check import check_link
from headstock.engine.model_files import SavedModel, load_model
from headstock.engine.module import TuningModule
from headstock.engine.passes import Evaluation, evaluate_split, predict_split
from headstock.engine.run_directory import RunDirectory
from headstock.engine.setup import choose_device
from headstock.interfaces import Task
from headstock.interfaces.remote_code import trusting_remote_code
from headstock.preprocessing.prepare import PreparedSplit, prepare_split
from headstock.preprocessing.reading import Policy, read_split
from headstock.recipe.errors import validated
from headstock.recipe.source import parse_recipe, read_yaml
from headstock.trainer.config import TrainerConfig
from headstock.trainer.step.precision import settle_precision
from headstock_registry import Catalogue, HeadstockError, load_catalogue


class TunedModel:
    """The model of a finished run. Made by :func:`load`."""

    def __init__(self, saved: SavedModel, module: TuningModule, config: TrainerConfig, columns: dict[str, str]) -> None:
        self._saved, self._module, self._config = saved, module, config
        self.columns = columns
        """Column of the data for a column of the task, as the run had it; the default for other data."""

    @property
    def task(self) -> Task:
        """The task, with what it learnt."""
        return self._module.task

    def predict(self, inputs: Sequence[Any], *, quiet: bool = True) -> list[Any]:
        """Return one prediction an input, in order, in Hugging Face's wire format.

        Args:
            inputs: Values of the task's main column (texts, file paths, arrays), or mappings of several columns.
            quiet: Show no progress.

        Raises:
            BadExampleError: an input cannot be used; names it by its number.
            TypeError: ``inputs`` is one text instead of a list of them.
        """
        if isinstance(inputs, str | bytes | Mapping):
            raise TypeError("predict takes a list of inputs; for a single one write predict([...])")
        main = self.task.columns[0].name
        rows = [dict(value) if isinstance(value, Mapping) and main in value else {main: value} for value in inputs]
        columns = tuple(column.name for column in self.task.columns)
        return self.predict_table(Table(MemoryRows("input", rows, columns)), quiet=quiet)

    @noting_plugin()
    def predict_table(self, table: Table, *, quiet: bool = True) -> list[Any]:
        """Return one prediction a row, in order. See :meth:`predict`."""
        if not len(table):
            return []
        console = Console(quiet)
        split = self._prepare("input", table, console, with_references=False)
        predictions, _ = predict_split(self._module, split, self._config, console, "predict")
        return [self.task.to_pipeline(prediction, table[row]) for row, prediction in enumerate(predictions)]

    @noting_plugin()
    def evaluate(self, data: str | Path | Mapping[str, Any], *, quiet: bool = True) -> Evaluation:
        """Return metrics, predictions and details on other data.

        Args:
            data: A file or folder, or a mapping as in a recipe's ``data`` section. Of a folder with several splits,
                or of a Hub data set, the test split is taken. ``columns`` are added to the run's own.
            quiet: Show no progress.

        Raises:
            DataError: the data cannot be used.
        """
        given: dict[str, Any] = {"path": str(data)} if isinstance(data, str | Path) else dict(data)
        columns = given.get("columns") or {}
        if isinstance(columns, Mapping):
            given["columns"] = {**self.columns, **columns}
        config = validated(DataConfig, given, "data")
        console = Console(quiet)
        with console.current():
            table = load_evaluation(config, self.task.columns, reader=self.task)
        for note in table.notes:
            console.line(note)
        split = self._prepare("evaluation", table, console, with_references=True, policy=config.on_bad_example)
        return evaluate_split(self._module, split, self._config, console, "evaluate")

    def _prepare(
        self, name: str, table: Table, console: Console, with_references: bool, policy: Policy | None = None
    ) -> PreparedSplit:
        split = read_split(name, table, self.task, policy, with_references)
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
        raise HeadstockError(f"{run_dir} is not finished; go on with: headstock run {run_dir} --resume")
    check_link(directory.recipe)
    config, columns = _settings(directory.recipe)
    with trusting_remote_code(trust_remote_code):
        saved, module = load_model(catalogue or load_catalogue(), directory.model)
    place = choose_device(device)
    module.to(place)
    return TunedModel(saved, module, settle_precision(config, module, place), columns)


def _settings(path: Path) -> tuple[TrainerConfig, dict[str, str]]:
    """Return how the run made batches and which columns it read; the defaults where its recipe was not kept."""
    if not path.exists():
        return TrainerConfig(), {}
    recipe = parse_recipe(read_yaml(path), str(path))
    try:
        columns = validated(DataConfig, {"columns": recipe.data.get("columns", {})}, "data").columns
        return validated(TrainerConfig, recipe.trainer, "trainer"), columns
    except HeadstockError as error:
        raise HeadstockError(f"{path}: {error}") from error
