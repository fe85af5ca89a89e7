"""Second pass over a split: preprocessing through the cache, targets, batches."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from headstock.attribution import note_rows
from headstock.console import Console
from headstock.data import cache_dir
from headstock.data.cache.cached_folder import cached_folder
from headstock.digests import bytes_digest, json_digest
from headstock.interfaces import Backbone, BadExampleError, Batch, DataError, Example, Task, UntrainableError
from headstock.interfaces.notes import noting
from headstock.preprocessing.batching import preprocessed
from headstock.preprocessing.code import code_digest
from headstock.preprocessing.features import FeatureStore
from headstock.preprocessing.notes import Noted, RowNotes
from headstock.preprocessing.reading import Policy, ReadSplit, located, require_rows, skip_or_raise
from headstock.preprocessing.store import Examples, ExampleStore, MemoryStore, Skipped, StoreWriter
from headstock.preprocessing.targets import PackedTargets, TargetEncoder
from headstock_registry import API_VERSION


@dataclass(frozen=True)
class PreparedSplit:
    """A split that is ready for training or evaluation.

    Attributes:
        split: The usable rows.
        store: Preprocessed examples.
        indices: For each usable row the index of its example in ``store``.
        targets: Target tensors of each usable row, ``None`` for a row that is scored without a loss
            (:class:`headstock.NoTargetError`); empty when references are not known.
        features: What a frozen backbone makes of each usable row, where that was computed before.
    """

    split: ReadSplit
    store: Examples
    indices: NDArray[np.int64]
    targets: PackedTargets
    features: FeatureStore | None = None

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def costs(self) -> NDArray[np.int64]:
        """Cost of each example in the backbone's unit, (N,)."""
        return self.store.costs[self.indices]

    @property
    def notes(self) -> dict[str, Noted]:
        """What was cut, dropped or changed in the usable rows, by kind."""
        return self.split.notes.summary()

    def where(self, index: int) -> str:
        """Return where an example comes from, for a message: file and row."""
        return self.split.table.where(self.split.rows[index])

    def apart(self, batches: list[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
        """Return batches cut so that rows with targets and rows without are not in one."""
        known = self.targets.known()
        if known.all():
            return batches
        return [part for batch in batches for part in (batch[known[batch]], batch[~known[batch]]) if len(part)]

    def batch(self, indices: Sequence[int] | NDArray[np.int64], backbone: Backbone, task: Task) -> Batch:
        """Put examples together; targets are there if all of them have some."""
        examples = [self.store[int(self.indices[index])] for index in indices]
        features = None if self.features is None else self.features.batch(indices)
        try:
            chosen = (
                [target for index in indices if (target := self.targets[index]) is not None] if self.targets else []
            )
            targets = task.collate(chosen) if len(chosen) == len(examples) > 0 else {}
            places = torch.from_numpy(np.array(indices, dtype=np.int64))
            return Batch(backbone.collate(examples), targets, len(examples), features, places)
        except Exception as error:
            note_rows(error, map(self.where, indices))
            raise


def prepare_split(
    split: ReadSplit, backbone: Backbone, task: Task, policy: Policy, console: Console, cached: bool = True
) -> PreparedSplit:
    """Preprocess a split, or read it from the cache, and encode its references.

    ``cached=False`` keeps the examples in memory, for data that is used once.

    Raises:
        BadExampleError: an input cannot be preprocessed and ``policy`` is not ``skip``; names file and row.
        DataError: a reference cannot be encoded; names file and row.
    """
    store = _through_cache(split, backbone, task, console) if cached else _in_memory(split, backbone, task, console)
    failed = {skipped.row: skipped.reason for skipped in store.skipped}
    encoder, targets = TargetEncoder(task, training=split.name == "train"), PackedTargets()
    kept, examples, skipped, notes = array("q"), array("q"), list(split.skipped), RowNotes()
    references: list[Any] = []
    example = -1
    with noting() as found:
        for index, (row, written) in enumerate(zip(split.rows, split.references, strict=True)):
            found.clear()
            try:
                if index in failed:
                    raise BadExampleError(failed[index])
                example += 1
                reference = None if written is None else encoder.add(written, store, example, targets)
            except UntrainableError as error:
                skipped.append(located(split.table.where(row), error))
                continue
            except BadExampleError as error:
                skipped.append(skip_or_raise(split, row, error, policy))
                continue
            except DataError as error:
                raise DataError(located(split.table.where(row), error)) from error
            except Exception as error:
                note_rows(error, [split.table.where(row)])
                raise
            kept.append(index)
            examples.append(example)
            references.append(reference)
            if found:
                notes.add(row, found)
    usable = split.taking(kept, references, skipped, notes)
    require_rows(usable)
    indices = np.asarray(examples, dtype=np.int64)
    _add_notes(usable, split.notes, store.notes, indices)
    return PreparedSplit(usable, store, indices, targets)


def _add_notes(kept: ReadSplit, reading: RowNotes, preprocessing: RowNotes, indices: NDArray[np.int64]) -> None:
    """Add what reading (by row) and preprocessing (by index of the example) noted of the rows that are kept."""
    for what, rows, counts in reading.of(kept.rows).items():
        kept.notes.extend(what, rows.tolist(), counts.tolist())
    for what, examples, counts in preprocessing.of(indices).items():
        rows = np.asarray(kept.rows)[np.searchsorted(indices, examples)]
        kept.notes.extend(what, rows.tolist(), counts.tolist())


def _through_cache(split: ReadSplit, backbone: Backbone, task: Task, console: Console) -> ExampleStore:
    folder = _cache_folder(split, backbone)

    def fill(beside: Path) -> None:
        with StoreWriter(beside) as writer:
            writer.close(*_preprocess(split, backbone, task, console, writer.append))

    with console.current():
        return ExampleStore(cached_folder(folder, f"{split.name} examples", fill))


def _in_memory(split: ReadSplit, backbone: Backbone, task: Task, console: Console) -> MemoryStore:
    kept: list[Example] = []
    costs = array("q")

    def keep(examples: Sequence[Example], each: Sequence[int]) -> None:
        kept.extend(examples)
        costs.extend(each)

    skipped, notes = _preprocess(split, backbone, task, console, keep)
    return MemoryStore(kept, costs, skipped, notes)


def _cache_folder(split: ReadSplit, backbone: Backbone) -> Path:
    key: dict[str, Any] = {
        "api": API_VERSION,
        "code": code_digest(backbone),
        "preprocessing": backbone.fingerprint(),
        "data": bytes_digest(split.digests.joined()),
    }
    return cache_dir() / "examples" / json_digest(key)


def _preprocess(
    split: ReadSplit,
    backbone: Backbone,
    task: Task,
    console: Console,
    take: Callable[[Sequence[Example], Sequence[int]], None],
) -> tuple[list[Skipped], RowNotes]:
    """Give examples and their costs to ``take``; return the rows that gave none, and what was noted."""
    skipped: list[Skipped] = []
    notes = RowNotes()
    start = example = 0
    with console.bar(f"preprocess {split.name}", len(split.rows)) as bar:
        for batch in preprocessed(backbone, split.inputs(task), lambda row: split.table.where(split.rows[row])):
            skipped += [Skipped(row=start + index, reason=reason) for index, reason in batch.failed.items()]
            for index, found in batch.notes.items():
                notes.add(example + index, found)
            take(batch.examples, batch.costs)
            start += batch.size
            example += len(batch.examples)
            bar.advance(batch.size, batch.size)
    return skipped, notes
