"""The one manager of patches: what is exchanged in torch or the C library for a while, by how many, and put back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Undo = Callable[[], None]
"""Puts back what a patch has exchanged."""


class PatchManager:
    """Applies patches that belong to the whole process.

    A patch is applied when the first user enters and undone when the last one leaves, in whatever order they do and in
    whatever threads they run. So two trainings in threads never leave torch patched, nor unpatch it under each other.
    A place has one patch: where several want to change the same function, one patch asks them all when it is called.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._users: dict[str, int] = {}
        self._undo: dict[str, Undo] = {}

    @contextmanager
    def active(self, name: str, apply: Callable[[], Undo]) -> Iterator[None]:
        """Keep a patch applied meanwhile.

        Args:
            name: Names the patch; the same name is the same patch.
            apply: Applies it and returns what undoes it. Called by the first user alone.
        """
        with self._lock:
            if not self._users.get(name):
                self._undo[name] = apply()
            self._users[name] = self._users.get(name, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                self._users[name] -= 1
                if not self._users[name]:
                    del self._users[name]
                    self._undo.pop(name)()

    def users(self, name: str) -> int:
        """Return how many keep a patch applied."""
        with self._lock:
            return self._users.get(name, 0)


PATCHES = PatchManager()
"""The patches of this process."""
