"""Sequences that take little memory for each row of a split."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

DIGEST_SIZE = 16
"""Bytes of a digest of a row's content."""

Targets = Mapping[str, Tensor]
"""Target tensors of one example, without a batch dimension."""


class Digests(Sequence[bytes]):
    """Digests end to end, sixteen bytes each."""

    def __init__(self, digests: Iterable[bytes] = ()) -> None:
        self._bytes = bytearray()
        for digest in digests:
            self.append(digest)

    def append(self, digest: bytes) -> None:
        """Add a digest."""
        if len(digest) != DIGEST_SIZE:
            raise ValueError(f"a digest of {len(digest)} bytes")
        self._bytes += digest

    def joined(self) -> bytes:
        """Return all digests as one text of bytes."""
        return bytes(self._bytes)

    def array(self) -> NDArray[np.bytes_]:
        """Return the digests in a form that sorts and compares fast, bytes (N,)."""
        return np.frombuffer(self.joined(), dtype=f"S{DIGEST_SIZE}")

    def __len__(self) -> int:
        return len(self._bytes) // DIGEST_SIZE

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> Digests: ...
    def __getitem__(self, index: int | slice) -> bytes | Digests:
        if isinstance(index, slice):
            return Digests(self[position] for position in range(*index.indices(len(self))))
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        start = index % len(self) * DIGEST_SIZE
        return bytes(self._bytes[start : start + DIGEST_SIZE])

    def __iter__(self) -> Iterator[bytes]:
        return (bytes(self._bytes[start : start + DIGEST_SIZE]) for start in range(0, len(self._bytes), DIGEST_SIZE))


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

    def __getitem__(self, index: int) -> Tensor:
        if self._dimensions:
            start, stop = self._ends[index], self._ends[index + 1]
        else:
            start, stop = index * self._dtype.itemsize, (index + 1) * self._dtype.itemsize
        shape = self._shapes[index * self._dimensions : (index + 1) * self._dimensions].tolist()
        if start == stop:
            return torch.empty(shape, dtype=self._dtype)
        values = torch.frombuffer(bytearray(self._values[start:stop]), dtype=self._dtype)
        return values.view(shape)
