"""A component under check, and what it needs around it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch

from headstock.console import Console
from headstock.data.cache.cache_dir import redirected_cache
from headstock.engine.models.model_files import load_model
from headstock.engine.models.module import TuningModule
from headstock.engine.run import run_resolved
from headstock.engine.setup import PreparedData, build_module, prepare_data
from headstock.engine.tuned_model import TunedModel, load
from headstock.interfaces import Backbone, Batch, Column, DataError, Splits, Task, trusts_remote_code
from headstock.preprocessing.prepare import PreparedSplit
from headstock.recipe.components import component_class
from headstock.recipe.read import resolve_recipe
from headstock.recipe.resolve import ResolvedRecipe
from headstock.report.result import RunResult
from headstock_registry import Catalogue, Entry, HeadstockError

EXAMPLES = 24
"""Examples of each split in checks that need only a few; more where so few lack a label that other splits have."""
STEPS = 4
"""Optimizer steps of the short run that checks look at."""
PLAIN = ("trainer.device=cpu", "trainer.precision=fp32", "trainer.compile=false")
JITTER = 0.02
"""Noise on new weights, in place of pretraining: networks often begin with zeros, behind which nothing has effect."""
SHORT = (
    "trainer.batch_size=4",
    f"trainer.max_steps={STEPS}",
    "trainer.evaluate_every=2",
    "trainer.log_every=1",
)


class Built(NamedTuple):
    """A model that is ready for steps, and its data."""

    module: TuningModule
    splits: dict[str, PreparedSplit]

    def batch(self, indices: Sequence[int], split: str = "train") -> Batch:
        """Put examples together."""
        return self.splits[split].batch(list(indices), self.module.backbone, self.module.task)


class Subject:
    """A component under check.

    A task is checked on its default backbone, a backbone under the first task of its modality, an adapter or a method
    on the first task that runs; ``assignments`` say otherwise, and give the options that have no default.

    Attributes:
        entry: The component.
        cls: Its class.
        assignments: ``section.key=value`` texts as on the command line.
    """

    def __init__(self, catalogue: Catalogue, entry: Entry, assignments: Sequence[str], folder: Path) -> None:
        self.catalogue, self.entry, self.assignments = catalogue, entry, tuple(assignments)
        self.cls: Any = component_class(catalogue, entry)
        self._folder = folder

    @cached_property
    def recipe(self) -> Mapping[str, Any]:
        """The recipe's components.

        Raises:
            HeadstockError: nothing is installed that the component could be checked with.
        """
        if self.entry.kind == "task":
            return {"task": self.catalogue.name(self.entry)}
        own = self.catalogue.name(self.entry)
        named = [text.removeprefix("task=") for text in self.assignments if text.startswith("task=")]
        section = {"methods": [own]} if self.entry.kind == "method" else {self.entry.kind: own}
        return {"task": named[0] if named else self._some_task(), **section}

    @property
    def options(self) -> Any:
        """The component's options, as the recipe has them."""
        resolved = self.resolved()
        parts: dict[str, Any] = {"task": resolved.task, "backbone": resolved.backbone, "adapter": resolved.adapter}
        return (resolved.methods[0] if self.entry.kind == "method" else parts[self.entry.kind]).config

    def _some_task(self) -> str:
        modality = self.entry.modality
        backbones = self.catalogue.names("backbone")
        for entry in self.catalogue.entries("task"):
            if modality not in (None, entry.modality):
                continue
            try:  # another plugin's task may not import, or need what is not installed
                default = component_class(self.catalogue, entry).default_backbone
            except HeadstockError:
                continue
            if self.entry.kind == "backbone" or default in backbones:
                return self.catalogue.name(entry)
        raise HeadstockError(f"{self.entry} can only be checked with a task, and no installed task fits it")

    def resolved(self, *more: str) -> ResolvedRecipe:
        """Return the recipe with further assignments on it."""
        mine = [text for text in self.assignments if not text.startswith("task=")]
        return resolve_recipe(self.catalogue, dict(self.recipe), [*PLAIN, *mine, *more])

    def task(self) -> Task:
        """Return a new task that has learnt nothing; it knows the sample's columns, where the data decides them."""
        task = self.new_task()
        if type(task).columns_for is not Task.columns_for:
            task.settle(self.columns)
        return task

    def new_task(self) -> Task:
        """Return a new task that has seen nothing."""
        part = self.resolved().task
        return part.cls(part.config)

    @cached_property
    def sample(self) -> Splits:
        """The task's sample."""
        return self.new_task().sample()

    @property
    def available(self) -> list[str]:
        """The columns of the sample's training rows."""
        return list(dict.fromkeys(name for row in self.sample["train"] for name in row))

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns of the sample's rows: those that the task declares, or what it makes of them."""
        return self.new_task().columns_for(self.available)

    def new_folder(self) -> Path:
        """Return a new empty folder."""
        return Path(tempfile.mkdtemp(dir=self._folder))

    @cached_property
    def limit(self) -> str:
        """The assignment that limits examples to a few."""
        for size in (EXAMPLES, 4 * EXAMPLES, 16 * EXAMPLES):
            try:
                with redirected_cache(self.new_folder()):
                    data = prepare_data(self.resolved(f"data.limit={size}"), Console(quiet=True))
            except DataError:
                continue
            if all(target is not None for split in data.splits.values() for target in split.targets):
                return f"data.limit={size}"
        return "data.limit=null"

    def prepared(self, *more: str, jitter: float = 0.0) -> PreparedData:
        """Return a few prepared examples of each split; ``jitter`` is the size of noise on the backbone's weights."""
        with redirected_cache(self.new_folder()):
            data = prepare_data(self.resolved(self.limit, *more), Console(quiet=True))
        _add_noise(data.backbone, jitter)
        return data

    def prepared_from(self, sample: Splits, *more: str) -> PreparedData:
        """Return all examples of a sample other than the task's own, prepared."""
        with redirected_cache(self.new_folder()):
            return prepare_data(self.resolved(*more), Console(quiet=True), sample)

    @cached_property
    def prepared_backbone(self) -> Backbone:
        """A backbone as it is before an adapter is attached; only to preprocess with."""
        return self.prepared().backbone

    def inputs(self, split: str) -> list[Mapping[str, Any]]:
        """Return the raw inputs of a few examples."""
        task, read = self.task(), self.prepared().splits[split].split
        return list(read.inputs(task))

    def build(self, *more: str, jitter: float = 0.0) -> Built:
        """Return a new model in evaluation mode, and a few examples of each split. See :meth:`prepared`."""
        data = self.prepared(*more, jitter=jitter)
        module = build_module(self.resolved(*more), data, self.new_folder() / "base")
        _add_noise(module.head, jitter)
        return Built(module.eval(), data.splits)

    def predict(self, built: Built, indices: Sequence[int], split: str = "train") -> list[Any]:
        """Return the predictions for some examples, as one batch."""
        batch = built.batch(indices, split)
        with torch.no_grad():
            outputs = built.module(batch).outputs
        return built.module.task.decode(outputs, batch)

    def predictions(self, built: Built, split: str) -> list[Any]:
        """Return the predictions for a whole split, in batches of four."""
        size = len(built.splits[split])
        parts = [range(start, min(start + 4, size)) for start in range(0, size, 4)]
        return [prediction for part in parts for prediction in self.predict(built, part, split)]

    def run(self, folder: Path, *more: str, resume: bool = False, console: Console | None = None) -> RunResult:
        """Train a few steps through the engine, into ``folder``."""
        resolved = self.resolved(self.limit, *SHORT, *more)
        quiet = console or Console(quiet=True)
        with redirected_cache(self._folder / "cache"):
            return run_resolved(self.catalogue, resolved, folder, resume=resume, force=False, console=quiet)

    def run_whole(self, folder: Path) -> RunResult:
        """Train on the whole sample with default settings, as ``headstock run`` does, into ``folder``."""
        with redirected_cache(self._folder / "cache"):
            return run_resolved(
                self.catalogue, self.resolved(), folder, resume=False, force=False, console=Console(quiet=True)
            )

    def written_predictions(self, folder: Path) -> list[dict[str, Any]]:
        """Return reference and prediction of each test example of a finished run."""
        lines = (folder / "predictions.jsonl").read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def tuned_task(self, folder: Path) -> Task:
        """Return the task of a finished run, with what it learnt."""
        return load_model(self.catalogue, folder / "model")[1].task

    def tuned_model(self) -> TunedModel:
        """Return the model of :attr:`finished`, loaded anew, on the CPU."""
        trusted = trusts_remote_code()
        return load(self.finished, device="cpu", catalogue=self.catalogue, trust_remote_code=trusted)

    @cached_property
    def finished(self) -> Path:
        """The folder of a short run that was not interrupted."""
        folder = self.new_folder() / "run"
        self.run(folder)
        return folder


def _add_noise(module: torch.nn.Module, size: float) -> None:
    if not size:
        return
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(size * torch.randn_like(parameter))
        for part in module.modules():
            if isinstance(part, torch.nn.Embedding) and part.padding_idx is not None:
                part.weight[part.padding_idx] = 0.0  # as training leaves it


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let torch compute on one thread (sums then have one order), and give back threads and random state."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(before)
