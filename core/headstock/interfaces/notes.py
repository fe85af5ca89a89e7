"""What is cut, dropped or changed while data is read and preprocessed, counted by the code that does it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_found: ContextVar[Counter[str] | None] = ContextVar("found", default=None)


def note(what: str, count: int = 1) -> None:
    """Count something that the data loses or that is guessed of it, for the console, ``results.json`` and model card.

    Call it where that happens: in :meth:`headstock.Task.read`, ``inputs``, ``reference`` or ``encode``, in
    :meth:`headstock.Backbone.preprocess`, or in anything that these call in the same thread. What is said of an example
    is kept with it in the example cache, and forgotten if the example turns out to be unusable.

    Args:
        what: What happened to which things, in the plural: ``texts cut to 256 tokens (backbone.max_length)``. One kind
            has one wording, for kinds are told apart by it; so it names no file or row.
        count: How many things of one example (boxes, words), or of the data where it is not yet read by example.
    """
    found = _found.get()
    if found is not None and count > 0:
        found[what] += count


@contextmanager
def noting() -> Iterator[Counter[str]]:
    """Yield a counter of all that is noted while this is active. An inner one takes what an outer one then misses."""
    found: Counter[str] = Counter()
    token = _found.set(found)
    try:
        yield found
    finally:
        _found.reset(token)
