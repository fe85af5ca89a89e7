"""Preprocessed examples on disk: flat tensors, read through a memory map.

A store is a folder: ``store.json`` says what is in it, ``<name>.bin`` holds the values of one tensor of all examples
end to end, and ``index.safetensors`` says where each example's part begins and what its shape is.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from safetensors.numpy import load_file, save_file
from torch import Tensor

from headstock.atomic import write_json
from headstock.interfaces import Example
from headstock.preprocessing.notes import RowNotes


class Skipped(BaseModel):
    """A row that gave no example, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    row: int
    reason: str


class StoreInfo(BaseModel):
    """What ``store.json`` holds: how many examples, the NumPy dtype of each tensor, the rows that gave none, and what
    was noted of examples, in the order of ``notes.0``, ``notes.1`` … of the index.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int
    dtypes: dict[str, str]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...] = ()


class Examples(Protocol):
    """Preprocessed examples, wherever they are.

    Attributes:
        costs: Cost of each example in the backbone's unit, (N,).
        skipped: Rows that gave no example.
        notes: What preprocessing noted of examples, by index.
    """

    costs: NDArray[np.int64]
    skipped: tuple[Skipped, ...]
    notes: RowNotes

    def __getitem__(self, index: int) -> Example: ...


class MemoryStore:
    """Examples that are used once and need no cache."""

    def __init__(
        self, examples: Sequence[Example], costs: Sequence[int], skipped: Sequence[Skipped], notes: RowNotes
    ) -> None:
        self._examples = examples
        self.costs: NDArray[np.int64] = np.asarray(costs, dtype=np.int64)
        self.skipped = tuple(skipped)
        self.notes = notes

    def __getitem__(self, index: int) -> Example:
        return self._examples[index]


class StoreWriter:
    """Appends examples to a new store; memory does not grow with their size. On leaving it, its files are closed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, BinaryIO] = {}
        self._dtypes: dict[str, str] = {}
        self._kinds: dict[str, tuple[torch.dtype, int]] = {}
        self._shapes: dict[str, array[int]] = {}
        self._costs = array("q")

    def append(self, examples: Sequence[Example], costs: Sequence[int]) -> None:
        """Add examples; all must have the same tensor names, dtypes and numbers of dimensions."""
        if not examples:
            return
        if not self._files:
            first = {name: tensor.detach().numpy() for name, tensor in examples[0].items()}
            self._files = {name: (self._folder / f"{name}.bin").open("wb") for name in first}
            self._dtypes = {name: values.dtype.str for name, values in first.items()}
            self._kinds = {name: (tensor.dtype, tensor.ndim) for name, tensor in examples[0].items()}
            self._shapes = {name: array("q") for name in first}
        for example in examples:
            if (found := {name: (tensor.dtype, tensor.ndim) for name, tensor in example.items()}) != self._kinds:
                raise TypeError(f"preprocess returned other tensors than before: {found} against {self._kinds}")
        for name, file in self._files.items():
            tensors = [example[name] for example in examples]
            file.write(torch.cat([tensor.reshape(-1) for tensor in tensors]).detach().numpy().data)
            self._shapes[name].extend(chain.from_iterable(tensor.shape for tensor in tensors))
        self._costs.extend(costs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            with suppress(OSError):  # where the disk is full, what could not be written is written again
                file.close()

    def close(self, skipped: Iterable[Skipped], notes: RowNotes | None = None) -> None:
        """Write the index. Only now the store can be read."""
        for file in self._files.values():
            file.close()
        count = len(self._costs)
        index = {"costs": np.asarray(self._costs, dtype=np.int64)}
        for name, shapes in self._shapes.items():
            index[f"{name}.shapes"] = np.asarray(shapes, dtype=np.int64).reshape(count, -1)
        kinds = []
        for number, (what, rows, counts) in enumerate((notes or RowNotes()).items()):
            kinds.append(what)
            index[f"notes.{number}"] = np.stack((rows, counts))
        save_file(index, self._folder / "index.safetensors")
        info = StoreInfo(count=count, dtypes=self._dtypes, skipped=tuple(skipped), notes=tuple(kinds))
        write_json(self._folder / "store.json", info.model_dump(mode="json"))


class ExampleStore:
    """A finished store. Tensors are views into the memory map: cheap to take, not to be changed in place."""

    def __init__(self, folder: Path) -> None:
        info = StoreInfo.model_validate(json.loads((folder / "store.json").read_text("utf-8")))
        index = load_file(folder / "index.safetensors")
        self.count = info.count
        self.skipped: tuple[Skipped, ...] = info.skipped
        self.costs: NDArray[np.int64] = index["costs"]
        self.notes = RowNotes()
        for number, what in enumerate(info.notes):
            self.notes.extend(what, *index[f"notes.{number}"].tolist())
        self._flat: dict[str, Tensor] = {}
        self._shapes: dict[str, NDArray[np.int64]] = {}
        self._ends: dict[str, NDArray[np.int64]] = {}
        for name, dtype in info.dtypes.items():
            shapes = index[f"{name}.shapes"]
            ends = np.cumsum(np.prod(shapes, axis=1, dtype=np.int64))
            size = int(ends[-1]) if len(ends) else 0
            # Copy-on-write: torch wants writable memory, and the file must never change.
            kind: Any = np.dtype(dtype)
            values = np.memmap(folder / f"{name}.bin", kind, mode="c", shape=(size,)) if size else np.empty(0, kind)
            self._flat[name] = torch.from_numpy(values)
            self._shapes[name] = shapes
            self._ends[name] = np.concatenate(([0], ends))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        example = {}
        for name, flat in self._flat.items():
            start, stop = self._ends[name][index : index + 2].tolist()
            values, shapes = flat[start:stop], self._shapes[name]
            # A view costs as much as the slice, and a slice has one dimension already.
            example[name] = values if shapes.shape[1] == 1 else values.view(shapes[index].tolist())
        return example
