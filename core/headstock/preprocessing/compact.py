"""Sequences that take little memory for each row of a split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

DIGEST_SIZE = 16
"""Bytes of a digest of a row's content."""


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

    def taking(self, indices: Sequence[int] | NDArray[np.int64]) -> Digests:
        """Return the digests at these indices."""
        chosen = Digests()
        chosen._bytes += self.array()[np.asarray(indices, dtype=np.int64)].tobytes()
        return chosen

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
