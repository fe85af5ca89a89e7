"""From a resolved recipe to data, model and trainer inputs: steps one to three of a run."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from headstock.console import Console
from headstock.data import columns_of, load_splits
from headstock.digests import bytes_digest
from headstock.distributed.processes import launched
from headstock.engine.data_report import alone_in_train, lacking, split_lines
from headstock.engine.duplicates import duplicate_lines
from headstock.engine.methods import check_methods
from headstock.engine.models.model_files import save_base
from headstock.engine.models.model_size import model_that_fits
from headstock.engine.models.module import TuningModule
from headstock.interfaces import Backbone, Splits, Task
from headstock.interfaces.notes import noting
from headstock.preprocessing.prepare import PreparedSplit, prepare_split
from headstock.preprocessing.reading import ReadSplit, SplitInputs
from headstock.preprocessing.surveying import Surveyor
from headstock.recipe.resolve import ResolvedRecipe
from headstock.recipe.settle import settle, suit
from headstock_registry import HeadstockError


@dataclass(frozen=True)
class PreparedData:
    """Data that is read and preprocessed, and the components that this needed.

    Attributes:
        resolved: The recipe, with the backbone that suits the data.
        task: Has learnt from the training split.
        backbone: With its starting weights, no adapter yet.
        splits: ``train``, ``validation`` and ``test``.
        remarks: A line for each thing that was left out or changed in the data as a whole.
    """

    resolved: ResolvedRecipe
    task: Task
    backbone: Backbone
    splits: dict[str, PreparedSplit]
    remarks: list[str] = field(default_factory=list)

    @property
    def skipped(self) -> dict[str, list[str]]:
        """One line for each row that was left out, by split."""
        return {name: split.split.skipped for name, split in self.splits.items()}

    def lines(self) -> list[str]:
        """Return what to tell people of the data before training."""
        lines = list(self.remarks)
        for name, split in self.splits.items():
            lines += split_lines(name, split, self.task)
        return lines

    def digests(self) -> dict[str, str]:
        """Return a digest of each split's inputs and references."""
        return {name: _digest(split.split) for name, split in self.splits.items()}


def _digest(split: ReadSplit) -> str:
    return bytes_digest(split.digests.joined(), json.dumps(split.references).encode())


def check_options(resolved: ResolvedRecipe) -> None:
    """Raise at once for options that cannot work here, before any work is done.

    Raises:
        HeadstockError: the device or a package that an option needs is not there.
    """
    choose_device(resolved.trainer.device)
    if resolved.trainer.fsdp and resolved.trainer.compile:
        raise HeadstockError("trainer.fsdp does not go together with trainer.compile; leave one of them out")
    check_methods(resolved)
    if resolved.trainer.time is not None and launched():
        raise HeadstockError("trainer.time is for one process; under torchrun set trainer.max_steps")
    if resolved.trainer.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise HeadstockError("trainer.tensorboard needs the tensorboard package: pip install 'headstock[tensorboard]'")


def prepare_data(
    resolved: ResolvedRecipe, console: Console, sample: Splits | None = None, *, tell: bool = True
) -> PreparedData:
    """Read the splits, make the backbone, preprocess.

    Args:
        resolved: The recipe.
        console: Where to show progress.
        sample: Rows to take in place of the task's own sample, where the recipe names no data.
        tell: Whether to show what was found in the data, too.

    Raises:
        HeadstockError: data, options or weights that cannot be used.
    """

    def say(lines: Iterable[str]) -> None:
        for line in lines if tell else ():
            console.line(line)

    policy = resolved.data.on_bad_example
    task = resolved.task.cls(resolved.task.config)
    surveyor = Surveyor(task, policy)
    with noting() as loading:
        tables = load_splits(
            resolved.data,
            columns_of(task, but=[resolved.data.group]),
            task.sample if sample is None else lambda: sample,
            task,
            surveyor.survey,
        )
    remarks = list(dict.fromkeys(note for table in tables.values() for note in table.notes))
    remarks += [f"{what}: {count:,}" for what, count in loading.items()]
    say(remarks)
    read = {name: surveyor.read(name, table) for name, table in tables.items()}
    with noting() as learning:
        task.learn(read["train"].references)
        task.learn_inputs(read["train"].inputs(task))
        known = len(resolved.remarks)
    resolved, unsuited = suit(resolved, read["train"].inputs(task))
    say(resolved.remarks[known:])
    learnt = [*unsuited, *(f"{what}: {count:,}" for what, count in learning.items())]
    say(learnt)
    remarks += learnt
    torch.manual_seed(resolved.seed)
    with noting() as making:
        with model_that_fits(resolved):
            backbone = resolved.backbone.cls.create(resolved.backbone.config, read["train"].inputs(task))
        task.bind(backbone)
    made = [f"{what}: {count:,}" for what, count in making.items()]
    say(made)
    remarks += made
    splits = {name: prepare_split(split, backbone, task, policy, console) for name, split in read.items()}
    ordered = resolved.data.ordered(task.cut)
    uneven = lacking(splits, task) if surveyor.cut and ordered else alone_in_train(splits, task, surveyor.cut)
    found = uneven + duplicate_lines(splits)
    say(found)
    remarks += found
    say([line for name, split in splits.items() for line in split_lines(name, split, task)])
    return PreparedData(resolved, task, backbone, splits, remarks)


def settled(data: PreparedData) -> ResolvedRecipe:
    """Return the recipe with all settings of the trainer, those that it leaves open as they suit data and backbone.

    Raises:
        HeadstockError: they cannot be used here.
    """
    backbone = data.backbone
    found = settle(data.resolved, len(data.splits["train"]), backbone.pretrained, count(backbone.parameters()))
    check_options(found)
    return found


def build_module(
    resolved: ResolvedRecipe, data: PreparedData, base: Path | None = None, device: torch.device | None = None
) -> TuningModule:
    """Attach the adapter, make the head, and move the untuned model to its device.

    What the adapter notes is added to the remarks on the data.

    Args:
        resolved: The recipe.
        data: What :func:`prepare_data` returned.
        base: Where to keep the backbone's weights from before the adapter, in case the adapter keeps them and they
            cannot be had elsewhere.
        device: Where to put the model; by default where the recipe says.
    """
    task, backbone = data.task, data.backbone
    adapter = resolved.adapter.cls(resolved.adapter.config)
    if base is not None and adapter.keeps_base and backbone.source is None:
        save_base(backbone, base)
    with model_that_fits(resolved):
        torch.manual_seed(resolved.seed)
        with noting() as attaching:
            adapter.attach(backbone)
        data.remarks.extend(f"{what}: {times:,}" for what, times in attaching.items())
        for part in backbone.fixed_parts():
            part.requires_grad_(False)
        torch.manual_seed(resolved.seed)
        head = task.build_head(backbone)
        _apply_options(resolved, backbone)
        methods = [part.cls(part.config) for part in resolved.methods]
        module = TuningModule(backbone, adapter, task, head, methods)
        return module.to(device or choose_device(resolved.trainer.device))


def begin_methods(module: TuningModule, data: PreparedData) -> None:
    """Let the training methods look at model and data.

    Raises:
        HeadstockError: one does not go with them.
    """
    if module.methods:
        module.begin_methods(SplitInputs(data.splits["train"].split, module.task))


def count(parameters: Iterable[nn.Parameter]) -> int:
    """Return how many numbers the parameters hold."""
    return sum(parameter.numel() for parameter in parameters)


def choose_device(name: str) -> torch.device:
    """Return the device that the recipe asks for.

    Raises:
        HeadstockError: a GPU is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise HeadstockError("trainer.device=cuda, but torch sees no CUDA device; use trainer.device=cpu or auto")
    return torch.device("cuda" if available and name in ("auto", "cuda") else "cpu")


def _apply_options(resolved: ResolvedRecipe, backbone: Backbone) -> None:
    if resolved.trainer.gradient_checkpointing:
        try:
            backbone.enable_gradient_checkpointing()
        except NotImplementedError as error:
            raise HeadstockError(
                f"backbone '{resolved.backbone.entry.name}' has no gradient checkpointing; "
                "leave out trainer.gradient_checkpointing"
            ) from error
    if resolved.trainer.compile:
        backbone.compile(dynamic=True)
