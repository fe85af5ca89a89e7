"""What a frozen backbone makes of a split, on disk: each example's features without padding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from headstock.interfaces import Features, pad_stack
from headstock.interfaces.values.batch import not_kept
from headstock.preprocessing.store import ExampleStore, StoreWriter


class FeatureWriter:
    """Writes features batch by batch, in any order of examples. On leaving it, its files are closed.

    Args:
        folder: An empty folder.
        with_sequence: Whether to keep ``sequence`` and ``mask``; ``pooled`` is always kept.
    """

    def __init__(self, folder: Path, with_sequence: bool) -> None:
        self._writer = StoreWriter(folder)
        self._with_sequence = with_sequence

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, value, trace)

    def append(self, indices: Sequence[int] | NDArray[np.int64], features: Features) -> None:
        """Add the features of the examples at these indices."""
        # NumPy has no bfloat16; float32 holds all of its values.
        pooled = features.pooled.float().cpu()
        examples = [
            {"example": torch.tensor([int(index)]), "pooled": pooled[position]}
            for position, index in enumerate(indices)
        ]
        if self._with_sequence:
            sequence, mask = features.sequence.float().cpu(), features.mask.cpu()
            ends = mask.shape[1] - mask.flip(1).int().argmax(dim=1)
            for position, end in enumerate(ends.tolist()):
                examples[position] |= {"sequence": sequence[position, :end], "mask": mask[position, :end]}
        self._writer.append(examples, [1] * len(examples))

    def close(self) -> None:
        """Write the index. Only now the features can be read."""
        self._writer.close(())


class FeatureStore:
    """Features of a split's examples, read through a memory map.

    Where sequences were not kept, a stand-in that raises when it is touched stands for them.
    """

    def __init__(self, folder: Path) -> None:
        self._store = ExampleStore(folder)
        self._positions = np.empty(len(self._store), dtype=np.int64)
        for position in range(len(self._store)):
            self._positions[int(self._store[position]["example"])] = position

    def __len__(self) -> int:
        return len(self._store)

    def batch(self, indices: Sequence[int] | NDArray[np.int64]) -> Features:
        """Return the features of some examples, padded at the end with zeros."""
        examples = [self._store[position] for position in self._positions[indices].tolist()]
        pooled = torch.stack([example["pooled"] for example in examples])
        if "sequence" not in examples[0]:
            return Features(not_kept(), not_kept(), pooled)
        # Maps and queries are as many for every example, and must stay so.
        ragged = len({len(example["mask"]) for example in examples}) > 1
        sequence = pad_stack([example["sequence"] for example in examples], 0.0, sequence=ragged)
        return Features(sequence, pad_stack([example["mask"] for example in examples], 0, sequence=ragged), pooled)
