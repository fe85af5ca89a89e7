"""Encodes references as target tensors, and keeps them end to end."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstock.interfaces import Example, NoTargetError, Task
from headstock.interfaces.notes import note, noting
from headstock.preprocessing.store import Examples

Targets = Mapping[str, Tensor]
"""Target tensors of one example, without a batch dimension."""

MANY = 10_000
"""Labels whose targets are remembered, at most."""


class TargetEncoder:
    """Encodes references one after the other.

    A label that was encoded without a look at the example has the same targets wherever it recurs, and is not encoded
    again.

    Args:
        task: Encodes.
        training: Whether a reference without targets (:class:`headstock.NoTargetError`) is an error; elsewhere it is
            noted.
    """

    def __init__(self, task: Task, training: bool) -> None:
        self._task, self._training = task, training
        self._known: dict[str, tuple[Any, int]] = {}
        self._recurs = True

    def add(self, written: Any, examples: Examples, example: int, targets: PackedTargets) -> Any:
        """Add the targets of a reference to ``targets``; return the reference in the spelling that was learnt.

        Args:
            written: The reference as it was read.
            examples: Preprocessed examples.
            example: Index of the reference's example there.
            targets: Takes the targets.
        """
        if type(written) is str and (known := self._known.get(written)) is not None:
            reference, index = known
            targets.repeat(index)
            return reference
        reference = self._task.canonical(written)
        if reference is None:
            return None
        watched = WatchedExample(examples[example]) if self._recurs else examples[example]
        with noting() as found:
            encoded = self._encoded(reference, watched)
        for what, count in found.items():
            note(what, count)
        if isinstance(watched, WatchedExample):
            self._recurs = not watched.seen and len(self._known) < MANY
            if self._recurs and type(written) is str and not found:
                self._known[written] = reference, len(targets)
        targets.append(encoded)
        return reference

    def _encoded(self, reference: Any, example: Example) -> dict[str, Tensor] | None:
        try:
            return self._task.encode(reference, example)
        except NoTargetError as error:
            if self._training:
                raise
            note(error.what)
            return None


class WatchedExample(dict[str, Tensor]):
    """An example that knows whether its tensors were looked at.

    Attributes:
        seen: Whether they were.
    """

    seen = False

    def __getitem__(self, name: str) -> Tensor:
        self.seen = True
        return super().__getitem__(name)

    def __iter__(self) -> Iterator[str]:
        self.seen = True
        return super().__iter__()

    def __contains__(self, name: object) -> bool:
        self.seen = True
        return super().__contains__(name)

    def __len__(self) -> int:
        self.seen = True
        return super().__len__()

    def get(self, name: str, default: Any = None) -> Any:
        """Return a tensor, or ``default``."""
        self.seen = True
        return super().get(name, default)

    def keys(self) -> Any:
        """Return the names."""
        self.seen = True
        return super().keys()

    def values(self) -> Any:
        """Return the tensors."""
        self.seen = True
        return super().values()

    def items(self) -> Any:
        """Return names and tensors."""
        self.seen = True
        return super().items()


class PackedTargets(Sequence[Targets | None]):
    """Target tensors of many examples: the values of each name end to end, where names, types and devices agree.

    A tensor for each example would take several hundred bytes more than its values. An example may have none.
    """

    def __init__(self) -> None:
        self._parts: dict[str, _Packed] = {}
        self._odd: dict[int, dict[str, Tensor] | None] = {}
        self._count = 0

    def append(self, targets: dict[str, Tensor] | None) -> None:
        """Add the targets of an example."""
        if targets is not None and not self._parts:
            self._parts = {name: _Packed(value.dtype, value.ndim, self._count) for name, value in targets.items()}
        fits = (
            targets is not None
            and targets.keys() == self._parts.keys()
            and all(self._parts[name].takes(value) for name, value in targets.items())
        )
        if not fits:
            self._odd[self._count] = targets
        for name, part in self._parts.items():
            part.append(targets[name] if targets is not None and fits else None)
        self._count += 1

    def repeat(self, index: int) -> None:
        """Add the targets of an example again, for another."""
        if index in self._odd:
            self._odd[self._count] = self._odd[index]
        for part in self._parts.values():
            part.repeat(index)
        self._count += 1

    def known(self) -> NDArray[np.bool_]:
        """Return for each example whether it has targets, bool (N,)."""
        known = np.ones(self._count, dtype=np.bool_)
        known[[index for index, targets in self._odd.items() if targets is None]] = False
        return known

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> dict[str, Tensor] | None: ...
    @overload
    def __getitem__(self, index: slice) -> list[Targets | None]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Tensor] | list[Targets | None] | None:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(index)
        if index in self._odd:
            return self._odd[index]
        return {name: part[index] for name, part in self._parts.items()}


class _Packed:
    """The values of one target of all examples."""

    def __init__(self, dtype: torch.dtype, dimensions: int, before: int) -> None:
        self._dtype, self._dimensions = dtype, dimensions
        self._values = bytearray()
        self._shapes = array("q")
        self._ends = array("q", [0])
        for _ in range(before):
            self.append(None)

    def takes(self, value: Tensor) -> bool:
        return value.dtype == self._dtype and value.ndim == self._dimensions and value.device.type == "cpu"

    def append(self, value: Tensor | None) -> None:
        if value is None and not self._dimensions:
            self._values += bytes(self._dtype.itemsize)
        elif value is not None:
            self._values += value.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        self._shapes.extend((0,) * self._dimensions if value is None else value.shape)
        if self._dimensions:  # scalars all have the same size
            self._ends.append(len(self._values))

    def repeat(self, index: int) -> None:
        start, stop = self._place(index)
        self._values += self._values[start:stop]
        self._shapes.extend(self._shapes[index * self._dimensions : (index + 1) * self._dimensions])
        if self._dimensions:
            self._ends.append(len(self._values))

    def _place(self, index: int) -> tuple[int, int]:
        """Return where the bytes of an example's values begin and end."""
        if self._dimensions:
            return self._ends[index], self._ends[index + 1]
        return index * self._dtype.itemsize, (index + 1) * self._dtype.itemsize

    def __getitem__(self, index: int) -> Tensor:
        start, stop = self._place(index)
        shape = self._shapes[index * self._dimensions : (index + 1) * self._dimensions].tolist()
        if start == stop:
            return torch.empty(shape, dtype=self._dtype)
        values = torch.frombuffer(bytearray(self._values[start:stop]), dtype=self._dtype)
        return values.view(shape)
